// Selecting deleted assets and restoring them together, with a result for each.

import { byId, element } from './dom.js';
import { counted, fileName } from './format.js';
import { reporting, say } from './messages.js';
import { restoreLatest } from './restoring.js';
import { linkTo } from './route.js';

const bar = byId('selection');
const all = byId('select-all');
const action = byId('restore-selected');
const results = byId('restore-results');
const title = byId('restore-results-title');

const selected = new Map();
let afterRestore = () => {};

const boxes = () => [...document.querySelectorAll('#assets input[type=checkbox]')];

/** The callback runs when something may have come back. */
export function onRestored(callback) {
  afterRestore = callback;
}

export function select(asset, isSelected) {
  if (isSelected) selected.set(asset.asset_id, asset);
  else selected.delete(asset.asset_id);
  showSelection();
}

export function clearSelection() {
  selected.clear();
  showSelection();
}

/** After the list has changed: what is shown can be selected, if anything. */
export function showSelection() {
  const count = boxes().length;
  bar.hidden = count === 0;
  all.checked = count > 0 && selected.size === count;
  all.indeterminate = selected.size > 0 && selected.size < count;
  action.disabled = selected.size === 0;
  byId('selection-count').textContent = selected.size === 0 ? '' : `${selected.size} selected`;
}

export function hideResults() {
  results.hidden = true;
}

function showResults(outcomes) {
  const back = outcomes.filter(({ problem }) => problem === null).length;
  title.textContent = `${back} of ${counted(outcomes.length, 'file')} restored`;
  byId('restore-results-list').replaceChildren(...outcomes.map(({ asset, problem }) => element('li', {
    'data-test': 'restore-result',
    'data-public-id': asset.public_id,
    class: problem === null ? null : 'failed',
  }, element('a', { href: linkTo({ asset: asset.asset_id }) }, fileName(asset)),
  problem === null ? ' is back' : ` is not: ${problem}`)));
  results.hidden = false;
  title.focus();
  say(title.textContent);
}

all.addEventListener('change', () => {
  for (const box of boxes()) {
    if (box.checked !== all.checked) box.click();
  }
});

action.addEventListener('click', () => reporting(async () => {
  const outcomes = await restoreLatest([...selected.values()]);
  await afterRestore();
  showResults(outcomes);
}));

byId('restore-results-close').addEventListener('click', () => {
  hideResults();
  byId('place').focus();
});
