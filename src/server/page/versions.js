// The history of an asset: each version is previewed, compared, opened, downloaded, restored or deleted.

import { deleteVersions, versionAddress } from './api.js';
import { compareTexts } from './comparison.js';
import { confirm } from './dialogs.js';
import { byId, element } from './dom.js';
import { counted, fileName, instant, size, time } from './format.js';
import { complain, reporting, say } from './messages.js';
import { preview } from './preview.js';
import { restoreVersion } from './restoring.js';

const list = byId('versions');
const all = byId('versions-all');
const deleteSelected = byId('versions-delete');

let asset = null;
let afterChange = async () => {};

/** `onChange` runs after something was restored or deleted. */
export function showVersions(details, onChange) {
  asset = details;
  afterChange = onChange;
  const versions = details.versions ?? [];
  byId('versions-none').hidden = versions.length > 0;
  byId('versions-bar').hidden = versions.length === 0;
  const newestFirst = versions.map((version, index) => row(version, versions[index - 1])).reverse();
  list.replaceChildren(...newestFirst);
  showSelected();
}

const boxes = () => [...list.querySelectorAll('input[type=checkbox]')];
const selected = () => boxes().filter((box) => box.checked).map((box) => box.value);

function showSelected() {
  const count = selected().length;
  all.checked = count > 0 && count === boxes().length;
  all.indeterminate = count > 0 && count < boxes().length;
  deleteSelected.disabled = count === 0;
}

function row(version, before) {
  const { version_id: id } = version;
  const name = `the version of ${instant(version.time)}`;
  const place = element('div', { class: 'preview', 'data-test': 'version-preview-area' });
  const button = (word, test, action, kind = null) => element('button', {
    type: 'button',
    class: kind,
    'aria-label': `${word} ${name}`,
    'data-test': test,
    onclick: action,
  }, word);
  const download = versionAddress(asset.asset_id, id, 'attachment');
  const open = versionAddress(asset.asset_id, id, 'inline');
  return element('li', { 'data-test': 'version-row', 'data-version-id': id },
    element('div', { class: 'version-head' },
      element('input', { type: 'checkbox', value: id, 'aria-label': `Select ${name}`, onchange: showSelected, 'data-test': 'select-version' }),
      time(version.time),
      element('span', { class: 'quiet' }, size(version.size))),
    element('div', { class: 'actions' },
      button('Preview', 'version-preview', () => reporting(() => preview(asset, version, place))),
      before ? button('Compare', 'version-diff', () => reporting(() => compareTexts(asset, before, version, place))) : null,
      element('a', { href: open, target: '_blank', rel: 'noopener', 'aria-label': `Open ${name} in a new tab`, 'data-test': 'version-open' }, 'Open'),
      element('a', { href: download, download: fileName(asset), 'aria-label': `Download ${name}`, 'data-test': 'version-download' }, 'Download'),
      button('Restore', 'version-restore', () => bringBack(version)),
      button('Delete', 'version-delete', () => remove([version]), 'danger')),
    place);
}

const bringBack = (version) => reporting(async () => {
  const problem = await restoreVersion(asset.asset_id, version.version_id);
  if (problem !== null) {
    complain(`${fileName(asset)} was not restored: ${problem}`);
    return;
  }
  await afterChange();
  say(`${fileName(asset)} is again as it was on ${instant(version.time)}.`);
});

async function remove(versions) {
  const isLast = versions.length === asset.versions.length;
  const sure = await confirm({
    title: `Delete ${counted(versions.length, 'version')}?`,
    warning: 'This is IRREVERSIBLE.',
    text: `Of ${fileName(asset)} these versions go for good${isLast ? ', and with them its whole history' : ''}:`,
    items: versions.map((version) => `${instant(version.time)}, ${size(version.size)}`),
    action: 'Delete for good',
  });
  if (!sure) return;
  await reporting(async () => {
    const answer = await deleteVersions(asset.asset_id, versions.map((version) => version.version_id));
    await afterChange();
    const failures = answer.failures ?? [];
    const gone = `${counted(answer.deleted_version_ids.length, 'version')} deleted for good.`;
    if (failures.length) complain(`${gone} Not deleted: ${failures.map(({ error }) => error).join('; ')}`);
    else say(gone);
  });
}

all.addEventListener('change', () => {
  for (const box of boxes()) box.checked = all.checked;
  showSelected();
});
deleteSelected.addEventListener('click', () => {
  const ids = selected();
  remove(asset.versions.filter((version) => ids.includes(version.version_id)));
});
