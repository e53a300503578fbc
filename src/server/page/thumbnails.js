// Small pictures of assets. A live image has its original; a deleted one only versions, which are asked
// for when its place comes into view.

import { assetDetails, versionAddress } from './api.js';
import { element } from './dom.js';
import { icon } from './icons.js';

const deletedAssets = new WeakMap();

const comingIntoView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    comingIntoView.unobserve(target);
    showLatestVersion(target, deletedAssets.get(target));
  }
}, { rootMargin: '200px' });

export function thumbnail(asset) {
  const frame = element('span', { class: 'thumbnail' }, icon(asset.resource_type));
  if (asset.resource_type !== 'image') return frame;
  if (asset.status === 'deleted') {
    deletedAssets.set(frame, asset);
    comingIntoView.observe(frame);
  } else {
    frame.replaceChildren(picture(originalAddress(asset), frame));
  }
  return frame;
}

/** The original's address without its host, which may be another name of this server. */
export function originalAddress({ url }) {
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}

/** The newest version whose bytes there are. */
export function latestVersion({ versions }) {
  return versions.findLast((version) => version.restorable);
}

function picture(address, frame) {
  return element('img', {
    src: address,
    alt: '',
    loading: 'lazy',
    decoding: 'async',
    onerror: () => frame.replaceChildren(icon('image')),
  });
}

// Without a picture the icon says enough: what fails here is said when the asset is opened.
async function showLatestVersion(frame, asset) {
  const details = await assetDetails(asset.asset_id).catch(() => null);
  const version = details && latestVersion(details);
  if (!version) return;
  const address = versionAddress(asset.asset_id, version.version_id, 'inline');
  frame.replaceChildren(picture(address, frame));
}
