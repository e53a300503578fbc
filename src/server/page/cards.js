// One asset in the list: its picture, its name, which opens it, and a checkbox where it can be selected.

import { element } from './dom.js';
import { fileName, folderOf, size, time } from './format.js';
import { linkTo } from './route.js';
import { thumbnail } from './thumbnails.js';

/** `onSelect` is given where the asset can be selected, `withFolder` where the folders are mixed. */
export function card(asset, { onSelect, withFolder }) {
  const name = fileName(asset);
  const box = onSelect && element('input', {
    type: 'checkbox',
    'aria-label': `Select ${name}`,
    'data-test': 'select-asset',
    onchange: (event) => onSelect(asset, event.target.checked),
  });
  // The link covers the whole card by its style, so the name alone is what it is called.
  const link = element('a', { href: linkTo({ asset: asset.asset_id }), class: 'name' }, name);
  return element('li', {
    class: 'card',
    'data-test': 'asset-card',
    'data-public-id': asset.public_id,
    'data-asset-id': asset.asset_id,
    'data-status': asset.status,
  }, thumbnail(asset), box, link, withFolder ? folderLine(asset) : null, factsLine(asset));
}

function folderLine(asset) {
  return element('span', { class: 'quiet folder' }, folderOf(asset) || 'top folder');
}

/** A deleted asset has no size of its own any more: that of what is kept says more. */
function factsLine({ status, bytes, backup_bytes: kept, uploaded_at: changed, created_at: created }) {
  const amount = status === 'deleted' ? `${size(kept)} kept` : size(bytes);
  return element('span', { class: 'quiet facts' }, `${amount}, `, time(changed ?? created));
}
