// One asset: its picture, what is known of it, its own backup setting, and its history.

import { assetDetails, isSettled, setOverride, versionAddress } from './api.js';
import { openDialog } from './dialogs.js';
import { byId, describe, element } from './dom.js';
import { fileName, folderOf, size, time } from './format.js';
import { icon } from './icons.js';
import { reloadLibrary } from './library.js';
import { reporting, say } from './messages.js';
import { leaveAsset } from './route.js';
import { latestVersion, originalAddress } from './thumbnails.js';
import { showVersions } from './versions.js';

const dialog = byId('details');
const override = byId('override');

let shown = null;
let loading = new AbortController();

export function showDetails(assetId) {
  if (shown?.asset_id === assetId && dialog.open) return;
  byId('details-name').textContent = 'Loading …';
  byId('details-content').hidden = true;
  byId('details-note').hidden = true;
  openDialog(dialog);
  refresh(assetId);
}

export function closeDetails() {
  loading.abort();
  shown = null;
  if (dialog.open) dialog.close();
}

async function refresh(assetId) {
  loading.abort();
  loading = new AbortController();
  try {
    show(await assetDetails(assetId, loading.signal));
  } catch (error) {
    if (isSettled(error)) return;
    shown = null;
    byId('details-name').textContent = 'Not found';
    byId('details-content').hidden = true;
    note(error.status === 404 ? 'This file and all its versions are gone.' : error.message);
  }
}

function note(words) {
  byId('details-note').textContent = words;
  byId('details-note').hidden = words === '';
}

function show(asset) {
  shown = asset;
  const isDeleted = asset.placeholder === true;
  byId('details-name').textContent = fileName(asset);
  note(isDeleted ? 'Deleted. Restore a version to bring it back; its name is kept for it.' : '');
  byId('details-content').hidden = false;
  showPicture(asset, isDeleted);
  describe(byId('details-facts'), [
    ['Folder', folderOf(asset) || 'top folder'],
    ['Size', isDeleted ? null : size(asset.bytes)],
    ['Pixels', asset.width ? `${asset.width} × ${asset.height}` : null],
    ['First kept', time(asset.created_at)],
    ['Last change', time(asset.uploaded_at)],
    ['Tags', asset.tags?.length ? asset.tags.join(', ') : null],
    ['Context', contextOf(asset)],
    ['Asset id', element('code', {}, asset.asset_id)],
  ]);
  showOverride(asset, isDeleted);
  showVersions(asset, changed);
}

function contextOf({ context }) {
  const entries = Object.entries(context?.custom ?? {});
  return entries.length ? entries.map(([key, value]) => `${key}=${value}`).join(', ') : null;
}

function showPicture(asset, isDeleted) {
  const frame = byId('details-picture');
  const version = latestVersion(asset);
  const address = isDeleted
    ? version && versionAddress(asset.asset_id, version.version_id, 'inline')
    : originalAddress(asset);
  if (asset.resource_type !== 'image' || !address) {
    frame.replaceChildren(icon(asset.resource_type));
    return;
  }
  frame.replaceChildren(element('img', {
    src: address,
    alt: `Preview of ${fileName(asset)}`,
    onerror: () => frame.replaceChildren(icon('image')),
  }));
}

function showOverride(asset, isDeleted) {
  override.value = asset.backup_override ?? 'follow';
  override.disabled = isDeleted;
  showEffect(asset);
}

function showEffect({ backup_reason: reason }) {
  byId('override-effect').textContent = reason ?? '';
}

/** Something of the asset has changed: what is shown of it, and the list behind, are asked for anew. */
async function changed() {
  const { asset_id: assetId } = shown;
  await Promise.all([refresh(assetId), reloadLibrary()]);
  if (byId('details-content').hidden) byId('details-name').focus();
}

override.addEventListener('change', () => reporting(async () => {
  const value = override.value === 'follow' ? null : override.value;
  try {
    const answer = await setOverride(shown.asset_id, value);
    showEffect(answer);
    say(answer.backup_effective ? 'This file is backed up.' : 'This file is not backed up.');
    await refresh(shown.asset_id);
  } catch (error) {
    override.value = shown.backup_override ?? 'follow';
    throw error;
  }
}));

byId('details-close').addEventListener('click', leaveAsset);
// Escape, too, leaves the asset, so that the address says what is shown.
dialog.addEventListener('cancel', (event) => {
  event.preventDefault();
  leaveAsset();
});
