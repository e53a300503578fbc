// The one line that says what happened, read out by screen readers and kept until it is closed or
// the next one comes.

import { ApiError, isSettled } from './api.js';
import { byId } from './dom.js';

const box = byId('message');
const text = byId('message-text');
const close = byId('message-close');

// The text is never hidden, only empty: a region that appears together with its words is not read.
function show(kind, words) {
  box.dataset.kind = kind;
  text.textContent = words;
  close.hidden = false;
}

export const say = (words) => show('done', words);

export const complain = (words) => show('failed', words);

export function clearMessage() {
  delete box.dataset.kind;
  text.textContent = '';
  close.hidden = true;
}

/** Runs an action; what the server refuses becomes the message, and the answer is undefined. */
export async function reporting(action) {
  try {
    return await action();
  } catch (error) {
    if (isSettled(error)) return undefined;
    complain(error.message);
    if (!(error instanceof ApiError)) throw error;
    return undefined;
  }
}

/** Everything outside an open dialog is inert, messages too: so they are in the topmost one. */
export function placeMessages(container) {
  if (box.parentElement !== container) container.append(box);
}

close.addEventListener('click', clearMessage);
