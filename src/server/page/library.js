// The library: folders, the list of files, search, filter and order. What is shown follows the route;
// a change by hand changes the route.

import { isSettled, listFolders, searchAssets } from './api.js';
import { card } from './cards.js';
import { byId, element, rescueFocus } from './dom.js';
import { expressionFor, positionInQuery } from './expression.js';
import { counted } from './format.js';
import { icon } from './icons.js';
import { complain, reporting } from './messages.js';
import { currentRoute, goTo, linkTo } from './route.js';
import { clearSelection, hideResults, onRestored, select, showSelection } from './selection.js';

const PAGE_ROWS = 60;
/** What of a route the list depends on. */
const LISTED_BY = ['folder', 'query', 'status', 'subfolders', 'sort'];

const assets = byId('assets');
const more = byId('load-more');
const searchError = byId('search-error');
const search = byId('search');

let listed = null;
let loading = new AbortController();
let cursor = null;

const keyOf = (route) => LISTED_BY.map((name) => route[name]).join('\n');

export function showLibrary(route) {
  assets.dataset.layout = route.layout;
  byId('layout').setAttribute('aria-pressed', String(route.layout === 'list'));
  if (listed === keyOf(route)) return;
  listed = keyOf(route);
  showControls(route);
  hideResults();
  load(route);
}

export function leaveLibrary() {
  loading.abort();
  listed = null;
}

/** Asks for the list again: something in it has changed. */
export async function reloadLibrary() {
  if (listed !== null) await load(currentRoute());
}

function showControls(route) {
  search.value = route.query;
  for (const choice of document.getElementsByName('status')) {
    choice.checked = choice.value === route.status;
  }
  byId('subfolders').checked = route.subfolders === 'yes';
  byId('subfolders-label').hidden = route.query !== '';
  byId('sort').value = route.sort;
  const name = route.folder.slice(route.folder.lastIndexOf('/') + 1);
  byId('place').textContent = route.query ? 'Search results' : name || 'All files';
  showCrumbs(route);
}

function showCrumbs({ folder }) {
  const parts = folder === '' ? [] : folder.split('/');
  const places = [['All files', ''], ...parts.map((part, index) => [part, parts.slice(0, index + 1).join('/')])];
  byId('crumbs').replaceChildren(...places.map(([name, path], index) => element('li', {},
    element('a', {
      href: linkTo({ folder: path, query: '', asset: '' }),
      'aria-current': index === places.length - 1 ? 'page' : null,
    }, name))));
}

async function load(route) {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  clearSelection();
  searchError.textContent = '';
  assets.setAttribute('aria-busy', 'true');
  await Promise.all([showFolders(route, signal), showPage(route, signal, null)]);
  assets.removeAttribute('aria-busy');
}

async function showFolders({ folder, query }, signal) {
  const list = byId('folders');
  if (query) {
    list.replaceChildren();
    return;
  }
  try {
    const { folders } = await listFolders(folder, signal);
    list.replaceChildren(...folders.map(({ name, path }) => element('li', {},
      element('a', { href: linkTo({ folder: path, asset: '' }), 'data-test': 'folder-link' }, icon('folder'), name))));
  } catch (error) {
    if (!isSettled(error)) complain(error.message);
  }
}

async function showPage(route, signal, after) {
  const [field, direction] = route.sort.split(':');
  const body = {
    expression: expressionFor(route),
    sort_by: [{ [field]: direction }],
    max_results: PAGE_ROWS,
    with_field: ['tags', 'context'],
  };
  if (after) body.next_cursor = after;
  try {
    const answer = await searchAssets(body, signal);
    const options = {
      onSelect: route.status === 'deleted' ? select : undefined,
      withFolder: route.query !== '' || route.subfolders === 'yes',
    };
    const cards = answer.resources.map((asset) => card(asset, options));
    if (after) assets.append(...cards);
    else assets.replaceChildren(...cards);
    cursor = answer.next_cursor ?? null;
    more.hidden = cursor === null;
    showCount(route, answer.total_count);
    showSelection();
    if (after) rescueFocus(cards[0]?.querySelector('a'));
  } catch (error) {
    if (isSettled(error)) return;
    assets.replaceChildren();
    more.hidden = true;
    byId('count').textContent = '';
    showSelection();
    if (error.status === 400 && route.query) showSearchError(error, route.query);
    else complain(error.message);
  }
}

/** The server counts in the expression that was sent; the reader sees only his own part. */
function showSearchError(error, query) {
  const place = /at position (\d+)/.exec(error.message);
  const position = place && positionInQuery(Number(place[1]), query);
  searchError.textContent = place
    ? error.message.replace(place[0], `at position ${Math.max(position, 1)}`)
    : error.message;
  search.focus();
  if (position !== null) search.setSelectionRange(Math.max(position - 1, 0), position);
}

function showCount({ status }, total) {
  const noun = status === 'deleted' ? 'deleted file' : 'file';
  const shown = assets.childElementCount;
  const all = total === 0 ? `No ${noun}s here` : counted(total, noun);
  byId('count').textContent = shown < total ? `${shown} of ${all}` : all;
}

byId('search-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const query = search.value.trim();
  if (query === currentRoute().query) reporting(reloadLibrary);
  else goTo({ query, asset: '' });
});

for (const choice of document.getElementsByName('status')) {
  choice.addEventListener('change', () => goTo({ status: choice.value, asset: '' }));
}
byId('subfolders').addEventListener('change', (event) => goTo({ subfolders: event.target.checked ? 'yes' : '' }));
byId('sort').addEventListener('change', (event) => goTo({ sort: event.target.value }));
byId('layout').addEventListener('click', () => {
  goTo({ layout: currentRoute().layout === 'list' ? 'grid' : 'list' });
});
more.addEventListener('click', () => showPage(currentRoute(), loading.signal, cursor));
onRestored(reloadLibrary);
