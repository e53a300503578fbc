// The page "Backup": the switch of automatic backup; status and initial backup are modules of their
// own.

import { backupSettings, setAutomaticBackup } from './api.js';
import { confirm } from './dialogs.js';
import { byId } from './dom.js';
import { leaveInitialBackups, watchInitialBackups } from './initial-backup.js';
import { reporting, say } from './messages.js';
import { refreshVault } from './vault.js';

const toggle = byId('backup-switch');

const WORDS = {
  on: 'On: every file that is written and closed becomes a version.',
  off: 'Off: only files that are set to Always become versions. What there is stays.',
};

const QUESTION = {
  title: 'Turn automatic backup off?',
  text: 'What is written from now on is not kept as a version, and cannot be brought back later. '
    + 'Versions that there are stay, and files that are set to Always are still kept.',
  action: 'Turn off',
};

function showSwitch(backup) {
  toggle.disabled = false;
  toggle.setAttribute('aria-checked', String(backup === 'on'));
  byId('switch-words').textContent = WORDS[backup];
}

toggle.addEventListener('click', async () => {
  const wanted = toggle.getAttribute('aria-checked') === 'true' ? 'off' : 'on';
  if (wanted === 'off' && !await confirm(QUESTION)) return;
  await reporting(async () => {
    await setAutomaticBackup(wanted);
    showSwitch(wanted);
    say(`Automatic backup is ${wanted}.`);
  });
});

export function showBackup() {
  refreshVault();
  watchInitialBackups();
  reporting(async () => showSwitch((await backupSettings()).backup));
}

export const leaveBackup = leaveInitialBackups;
