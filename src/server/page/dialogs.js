// Modal dialogs: opening and closing them, and the question before something is lost.

import { byId, element } from './dom.js';
import { placeMessages } from './messages.js';

const open = [];

/** The browser gives the focus back to what had it when the dialog closes. */
export function openDialog(dialog) {
  if (dialog.open) return;
  dialog.showModal();
  open.push(dialog);
  placeMessages(dialog);
}

export function closeAllDialogs() {
  for (const dialog of [...open].reverse()) dialog.close();
}

document.addEventListener('close', ({ target }) => {
  const index = open.indexOf(target);
  if (index < 0) return;
  open.splice(index, 1);
  placeMessages(open.at(-1) ?? document.body);
}, true);

const question = byId('confirm');
const yes = byId('confirm-yes');

/**
 * Asks, with the focus on Cancel. `warning` is set apart, `items` are listed, and only the button
 * with the word `action` on it answers true.
 */
export function confirm({ title, warning, text, items = [], action }) {
  byId('confirm-title').textContent = title;
  byId('confirm-warning').textContent = warning ?? '';
  byId('confirm-warning').hidden = !warning;
  byId('confirm-text').textContent = text;
  byId('confirm-items').replaceChildren(...items.map((item) => element('li', {}, item)));
  byId('confirm-items').hidden = items.length === 0;
  yes.textContent = action;
  question.returnValue = '';
  openDialog(question);
  byId('confirm-no').focus();
  return new Promise((resolve) => {
    question.addEventListener('close', () => resolve(question.returnValue === 'yes'), { once: true });
  });
}
