// What changed from one version to the next, line by line.

import { element } from './dom.js';
import { counted, instant, size } from './format.js';
import { difference } from './difference.js';
import { clear, textOf, TEXT_BYTES_MAX } from './preview.js';

/** Equal lines around a change that are shown with it. */
const AROUND = 3;

/** Shows the change in a place, or takes it away where it is shown already. */
export async function compareTexts(asset, before, after, place) {
  if (place.dataset.shows === 'comparison') {
    clear(place);
    return;
  }
  place.dataset.shows = 'comparison';
  const [old, now] = await Promise.all([textOf(asset, before), textOf(asset, after)]);
  if (old === null || now === null) {
    place.replaceChildren(element('p', { class: 'quiet' },
      `Only texts of up to ${size(TEXT_BYTES_MAX)} are compared.`));
    return;
  }
  const changes = difference(old.split('\n'), now.split('\n'));
  if (changes === null) {
    place.replaceChildren(element('p', { class: 'quiet' }, 'Almost every line is another one.'));
    return;
  }
  const added = changes.filter(([kind]) => kind === '+').length;
  const removed = changes.filter(([kind]) => kind === '-').length;
  place.replaceChildren(
    element('p', { class: 'quiet' },
      `Since ${instant(before.time)}: ${counted(added, 'line')} added, ${counted(removed, 'line')} removed`),
    element('pre', { class: 'diff', tabindex: '0', 'data-test': 'diff', 'aria-label': 'Changed lines' }, ...shown(changes)),
  );
}

const WORDS = { '+': 'ins', '-': 'del', ' ': 'span' };

function shown(changes) {
  const isNear = changes.map(() => false);
  changes.forEach(([kind], index) => {
    if (kind === ' ') return;
    for (let near = index - AROUND; near <= index + AROUND; near += 1) {
      if (near >= 0 && near < isNear.length) isNear[near] = true;
    }
  });
  const lines = [];
  changes.forEach(([kind, line], index) => {
    if (isNear[index]) lines.push(element(WORDS[kind], {}, `${kind} ${line}\n`));
    else if (index === 0 || isNear[index - 1]) lines.push(element('span', { class: 'quiet' }, '…\n'));
  });
  return lines;
}
