// What the vault says about itself, asked for every few seconds while somebody looks: how far the
// backup is, and how much there is.

import { backupStatus, isSettled, usage } from './api.js';

const INTERVAL_MS = 10_000;

const listeners = [];
let timer = null;

/** Calls the listener with each new state, or with the error that there was instead. */
export function watchVault(listener) {
  listeners.push(listener);
}

export async function refreshVault() {
  try {
    const [status, amounts] = await Promise.all([backupStatus(), usage()]);
    for (const listener of listeners) listener({ status, usage: amounts });
  } catch (error) {
    if (isSettled(error)) return;
    for (const listener of listeners) listener({ error });
  }
}

export function startWatching() {
  stopWatching();
  refreshVault();
  timer = setInterval(() => {
    if (!document.hidden) refreshVault();
  }, INTERVAL_MS);
}

export function stopWatching() {
  clearInterval(timer);
}
