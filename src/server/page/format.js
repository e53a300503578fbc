// How sizes, counts, times and names are written. Numbers and times follow the reader's locale.

import { element } from './dom.js';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** "5.7 MiB", in the units that the commands print. */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const shown = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 }).format(value);
  return `${shown} ${UNITS[unit]}`;
}

/** "1 file", "2,300 files". */
export function counted(count, noun) {
  return `${new Intl.NumberFormat().format(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** "3 minutes": the largest unit is enough to know whether to worry. */
export function duration(seconds) {
  const [length, unit] = [[86400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']]
    .find(([unitLength]) => seconds >= unitLength) ?? [1, 'second'];
  return counted(Math.floor(seconds / length), unit);
}

// With seconds: versions of one file are often moments apart.
const INSTANT = { dateStyle: 'medium', timeStyle: 'medium' };

export function instant(iso) {
  return new Intl.DateTimeFormat(undefined, INSTANT).format(new Date(iso));
}

export function time(iso) {
  return element('time', { datetime: iso }, instant(iso));
}

/** The file's name: an image's or video's public_id has no extension, its format is. */
export function fileName({ public_id: publicId, format }) {
  const name = publicId.slice(publicId.lastIndexOf('/') + 1);
  return format && !name.endsWith(`.${format}`) ? `${name}.${format}` : name;
}

/** The folder that a public_id lies in; the vault's root is ''. */
export function folderOf({ public_id: publicId }) {
  return publicId.slice(0, Math.max(0, publicId.lastIndexOf('/')));
}
