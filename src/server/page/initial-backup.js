// The initial backup: starting it, its progress, and how the last ones ended.

import { initialBackup, initialBackups, startInitialBackup } from './api.js';
import { byId, element } from './dom.js';
import { counted, time } from './format.js';
import { clearMessage, complain, reporting, say } from './messages.js';
import { refreshVault } from './vault.js';

const POLL_MS = 1000;

const start = byId('initial-start');
const ended = new Map();
let watching = new AbortController();

const isRunning = ({ status }) => status === 'pending' || status === 'active';

/** The last runs, newest first. Those that have ended do not change and are asked for once. */
async function lastRuns(signal) {
  const { initial_backups: runs } = await initialBackups(signal);
  return Promise.all(runs.map(async (run) => {
    if (!ended.has(run.id)) {
      const details = { ...run, ...await initialBackup(run.id, signal) };
      if (isRunning(details)) return details;
      ended.set(run.id, details);
    }
    return ended.get(run.id);
  }));
}

const processed = ({ processed_assets_count: count }) => count ?? 0;

function wordsOf(run) {
  switch (run?.status) {
    case undefined: return 'There was none yet.';
    case 'pending': return 'Waiting to begin …';
    case 'active': return `Running: ${counted(processed(run), 'file')} so far`;
    case 'completed': return `Completed: ${counted(processed(run), 'file')}`;
    default: return `Failed: ${run.reason ?? 'see keepfs.log in the vault'}`;
  }
}

function show(runs) {
  const [latest] = runs;
  const running = runs.some(isRunning);
  start.ariaDisabled = String(running);
  byId('initial-bar').hidden = !running;
  byId('initial-words').textContent = wordsOf(latest);
  byId('initial-runs').hidden = runs.length === 0;
  byId('initial-rows').replaceChildren(...runs.map((run) => element('tr', {},
    element('td', {}, time(run.start_time ?? run.created_at)),
    element('td', {}, String(run.processed_assets_count ?? '–')),
    element('td', {}, run.reason ? `${run.status}: ${run.reason}` : run.status))));
}

function pause(signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, POLL_MS);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); });
  });
}

/** Shows the runs, and follows one that is running until it ends or the view is left. */
export async function watchInitialBackups() {
  leaveInitialBackups();
  watching = new AbortController();
  const { signal } = watching;
  await reporting(async () => {
    let followed = false;
    while (!signal.aborted) {
      const runs = await lastRuns(signal);
      show(runs);
      if (!runs.some(isRunning)) {
        if (followed) announceEnd(runs[0]);
        return;
      }
      followed = true;
      await pause(signal);
    }
  });
}

export function leaveInitialBackups() {
  watching.abort();
}

function announceEnd(run) {
  const words = `Initial backup. ${wordsOf(run)}`;
  if (run.status === 'completed') say(words);
  else complain(words);
  refreshVault();
}

// Not `disabled`, which would take the focus away from who has just pressed it.
start.addEventListener('click', () => {
  if (start.ariaDisabled === 'true') return;
  reporting(async () => {
    clearMessage();
    await startInitialBackup();
    say('The initial backup has started.');
    await watchInitialBackups();
  });
});
