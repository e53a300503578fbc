// The log in form. The secret goes to the server once and is not kept here.

import { logIn } from './api.js';
import { byId } from './dom.js';

const view = byId('log-in');
const key = byId('log-in-key');
const secret = byId('log-in-secret');
const error = byId('log-in-error');

/** Shows the form, and calls back with the session. While it is shown, it is left as it is. */
export function askToLogIn(reason, onSession) {
  if (!view.hidden) return;
  error.textContent = reason;
  view.hidden = false;
  document.title = 'Log in – keepfs';
  key.focus();
  byId('log-in-form').onsubmit = async (event) => {
    event.preventDefault();
    error.textContent = '';
    try {
      const session = await logIn(key.value.trim(), secret.value.trim());
      secret.value = '';
      view.hidden = true;
      onSession(session);
    } catch (refusal) {
      error.textContent = refusal.message;
      secret.select();
    }
  };
}
