// Showing the content of a version inside the page: pictures, sound, film and text. Nothing of it is
// ever markup of the page.

import { fetchVersion, versionAddress } from './api.js';
import { element } from './dom.js';
import { fileName, instant, size } from './format.js';

/** Longer texts are read in a tab of their own. */
export const TEXT_BYTES_MAX = 512 * 1024;

/** Shows a version in a place, or takes it away where it is shown already. */
export async function preview(asset, version, place) {
  if (place.dataset.shows === 'preview') {
    clear(place);
    return;
  }
  place.dataset.shows = 'preview';
  const address = versionAddress(asset.asset_id, version.version_id, 'inline');
  const name = `${fileName(asset)}, ${instant(version.time)}`;
  switch (kindOf(asset)) {
    case 'image':
      place.replaceChildren(element('img', { src: address, alt: name, onerror: () => sayNone(place) }));
      return;
    case 'video':
      place.replaceChildren(element('video', { src: address, controls: true, 'aria-label': name }));
      return;
    default: {
      const text = await textOf(asset, version);
      if (text === null) sayNone(place, version);
      else place.replaceChildren(element('pre', { tabindex: '0', 'aria-label': name }, text));
    }
  }
}

export function clear(place) {
  delete place.dataset.shows;
  place.replaceChildren();
}

const kindOf = ({ resource_type: kind, format }) => (format === 'pdf' ? 'raw' : kind);

function sayNone(place, version) {
  const why = version && version.size > TEXT_BYTES_MAX
    ? `It is larger than ${size(TEXT_BYTES_MAX)}.`
    : 'It is no text, and no picture that this browser knows.';
  place.replaceChildren(element('p', { class: 'quiet' }, `There is no preview. ${why} Open or download it.`));
}

/** The content as text; null where it is too long or none. */
export async function textOf(asset, version) {
  if (version.size > TEXT_BYTES_MAX) return null;
  const bytes = new Uint8Array(await (await fetchVersion(asset.asset_id, version.version_id)).arrayBuffer());
  if (bytes.includes(0)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
