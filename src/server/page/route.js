// What is shown, as the hash of the address: reload, back, forward and bookmarks work by it. Every
// change of view is a change of the hash first, and the page follows.

const DEFAULTS = {
  view: 'library',
  folder: '',
  query: '',
  status: 'active',
  subfolders: '',
  sort: 'public_id:asc',
  layout: 'grid',
  asset: '',
};

const CHOICES = {
  view: ['library', 'backup'],
  status: ['active', 'deleted'],
  subfolders: ['', 'yes'],
  layout: ['grid', 'list'],
};

function parse(hash) {
  const given = new URLSearchParams(hash.slice(1));
  const route = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) {
    const value = given.get(name);
    if (value !== null && (CHOICES[name]?.includes(value) ?? true)) route[name] = value;
  }
  return route;
}

let route = parse(location.hash);
let listener = () => {};

export const currentRoute = () => route;

/** The address of what is shown now, with some changes. */
export function linkTo(changes) {
  return hashOf({ ...route, ...changes });
}

function hashOf(target) {
  const parts = Object.keys(DEFAULTS)
    .filter((name) => target[name] !== DEFAULTS[name])
    .map((name) => `${name}=${encodeURIComponent(target[name])}`);
  return `#${parts.join('&')}`;
}

export function goTo(changes) {
  location.hash = linkTo(changes);
}

/** Leaves the open asset, by going back where that is where it was opened from. */
export function leaveAsset() {
  if (history.state?.openedFromList) {
    history.back();
  } else {
    history.replaceState(null, '', linkTo({ asset: '' }));
    follow();
  }
}

/** Calls the listener now and whenever the address changes. */
export function onRoute(callback) {
  listener = callback;
  listener(route);
}

function follow() {
  route = parse(location.hash);
  listener(route);
}

window.addEventListener('hashchange', () => {
  const before = hashOf(route);
  // A new entry of the history has no state yet; those that are returned to keep theirs.
  if (history.state === null) {
    const { asset, ...list } = parse(location.hash);
    const openedFromList = asset !== '' && hashOf({ ...list, asset: '' }) === before;
    history.replaceState({ openedFromList }, '');
  }
  follow();
});
