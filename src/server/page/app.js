// The beginning and the end: the session, and which view is shown.

import { logOut, onSessionEnd, resumeSession } from './api.js';
import { leaveBackup, showBackup } from './backup-view.js';
import { closeDetails, showDetails } from './details.js';
import { closeAllDialogs } from './dialogs.js';
import { byId } from './dom.js';
import { leaveLibrary, reloadLibrary, showLibrary } from './library.js';
import { askToLogIn } from './log-in.js';
import { clearMessage, reporting } from './messages.js';
import { linkTo, onRoute } from './route.js';
import './status.js';
import { onUploaded, stopUploads } from './uploads.js';
import { refreshVault, startWatching, stopWatching } from './vault.js';

const views = { library: byId('library'), backup: byId('backup') };
const links = { library: byId('nav-library'), backup: byId('nav-backup') };
let shown = null;

function showView(view) {
  for (const [name, place] of Object.entries(views)) {
    place.hidden = name !== view;
    links[name].toggleAttribute('aria-current', name === view);
  }
  if (shown !== null && shown !== view) {
    clearMessage();
    views[view].focus();
  }
  shown = view;
}

function show(route) {
  links.library.href = linkTo({ view: 'library', asset: '' });
  showView(route.view);
  if (route.view === 'backup') {
    leaveLibrary();
    showBackup();
  } else {
    leaveBackup();
    showLibrary(route);
  }
  if (route.asset === '') closeDetails();
  else showDetails(route.asset);
}

function begin({ cloud_name: name }) {
  byId('vault-name').textContent = name;
  document.title = `${name} – keepfs`;
  byId('app').hidden = false;
  startWatching();
  onRoute(show);
}

onSessionEnd((hadSession) => {
  stopWatching();
  stopUploads();
  leaveBackup();
  closeAllDialogs();
  clearMessage();
  byId('app').hidden = true;
  askToLogIn(hadSession ? 'You are logged out.' : '', begin);
});

onUploaded(async () => {
  refreshVault();
  await reloadLibrary();
});

byId('log-out').addEventListener('click', () => reporting(logOut));
byId('skip').addEventListener('click', () => views[shown]?.focus());

// What goes wrong here has shown the form already.
resumeSession().then(begin, () => {});
