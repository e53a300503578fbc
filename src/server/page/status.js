// The state of the backup and the space it takes: at a glance in the header, in full on the page
// "Backup".

import { byId, describe } from './dom.js';
import { counted, duration, size, time } from './format.js';
import { icon } from './icons.js';
import { watchVault } from './vault.js';

const glance = byId('status');

const STATES = {
  ok: () => 'Backed up',
  behind: ({ pending_versions: waiting }) => `Behind: ${counted(waiting, 'version')} waiting`,
  blocked: () => 'Backup is blocked',
  unknown: () => 'Status unknown',
};

// Written only when it changes: it is read out by screen readers each time.
function showState(place, state, words) {
  if (place.dataset.state === state && place.textContent === words) return;
  place.dataset.state = state;
  place.replaceChildren(icon(state === 'unknown' ? 'blocked' : state), words);
}

function showEverywhere(state, words) {
  showState(glance, state, words);
  showState(byId('status-words'), state, words);
}

function show({ status, usage, error }) {
  if (error) {
    showEverywhere('unknown', STATES.unknown());
    byId('status-message').textContent = error.message;
    return;
  }
  showEverywhere(status.state, STATES[status.state](status));
  byId('status-message').textContent = status.message ?? '';
  byId('usage').textContent = `${counted(usage.resources, 'file')}, ${size(usage.storage.usage)} stored`;
  describe(byId('status-facts'), statusFacts(status));
  describe(byId('space-facts'), spaceFacts(usage));
}

function statusFacts(status) {
  const oldest = status.oldest_pending_seconds;
  return [
    ['Waiting', waitingWords(status)],
    ['For', oldest === null ? null : duration(oldest)],
    ['Last success', status.last_success === null ? 'none yet' : time(status.last_success)],
    ['Store', status.store],
  ];
}

function waitingWords({ pending_versions: versions, pending_bytes: bytes, oldest_pending_seconds: oldest }) {
  if (versions > 0) return `${counted(versions, 'version')}, ${size(bytes)}`;
  if (bytes > 0) return `${size(bytes)} on the way to the store`;
  return oldest === null ? 'nothing' : 'the record of what is new, on the way to the store';
}

function spaceFacts({ resources, backup }) {
  return [
    ['Files', counted(resources, 'file')],
    ['Versions', counted(backup.versions, 'version')],
    ['Deleted files that can be restored', counted(backup.deleted_assets, 'file')],
    ['Size of all versions', size(backup.logical_bytes)],
    ['Stored, without repetitions and compressed', size(backup.stored_bytes)],
  ];
}

watchVault(show);
