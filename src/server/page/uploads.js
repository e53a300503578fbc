// Uploading into the folder that is shown: by the button, or by dropping files on the library. One
// file after the other, each with its progress and what became of it.

import { findLive, isSettled, uploadFile } from './api.js';
import { confirm } from './dialogs.js';
import { byId, element } from './dom.js';
import { counted, size } from './format.js';
import { complain, reporting, say } from './messages.js';
import { currentRoute, linkTo } from './route.js';

const library = byId('library');
const input = byId('upload-input');
const panel = byId('uploads');
const title = byId('uploads-title');
const close = byId('uploads-close');

let running = null;
let afterUpload = () => {};

/** The callback runs when files have come. */
export function onUploaded(callback) {
  afterUpload = callback;
}

/** Nobody is there any more to whom the files belong. */
export function stopUploads() {
  running?.abort();
  panel.hidden = true;
  byId('uploads-list').replaceChildren();
}

const pathIn = (folder, name) => (folder === '' ? name : `${folder}/${name}`);

/** Which of the files may be sent: those in the way of none, and what the reader wants replaced. */
async function chosen(files, folder) {
  const paths = files.map((file) => pathIn(folder, file.name));
  const there = await findLive(paths);
  const taken = files.filter((file) => there.has(pathIn(folder, file.name)));
  if (taken.length === 0) return { files, replaced: new Set() };
  const lost = taken.filter((file) => !there.get(pathIn(folder, file.name)).backup).length;
  const isWanted = await confirm({
    title: `Replace ${counted(taken.length, 'file')}?`,
    warning: lost === 0 ? null : `The old content of ${counted(lost, 'file')} is lost: there is no backup of it.`,
    text: 'Files of these names are here already. What is backed up stays as an older version.',
    items: taken.map((file) => file.name),
    action: 'Replace',
  });
  return isWanted
    ? { files, replaced: new Set(taken) }
    : { files: files.filter((file) => !taken.includes(file)), replaced: new Set() };
}

function rowOf(file) {
  const bar = element('progress', { max: 1, value: 0, 'aria-label': file.name });
  const name = element('span', { class: 'name' }, file.name);
  const words = element('span', { class: 'quiet' }, size(file.size));
  const row = element('li', { 'data-test': 'upload-row', 'data-name': file.name }, name, bar, words);
  return {
    row,
    progress(part) {
      bar.value = part;
      words.textContent = `${Math.floor(part * 100)} % of ${size(file.size)}`;
    },
    done(asset) {
      bar.remove();
      name.replaceChildren(element('a', { href: linkTo({ asset: asset.asset_id }) }, file.name));
      words.textContent = 'is here';
    },
    failed(problem) {
      bar.remove();
      row.classList.add('failed');
      words.className = 'error';
      words.textContent = problem;
    },
  };
}

async function send(files, folder, replaced, signal) {
  const rows = files.map(rowOf);
  title.textContent = `Uploading to ${folder || 'All files'}`;
  byId('uploads-list').replaceChildren(...rows.map(({ row }) => row));
  close.textContent = 'Cancel';
  panel.hidden = false;
  say(`Uploading ${counted(files.length, 'file')} …`);
  let came = 0;
  for (const [place, file] of files.entries()) {
    const row = rows[place];
    try {
      if (signal.aborted) throw new DOMException('', 'AbortError');
      const asset = await uploadFile(pathIn(folder, file.name), file, {
        overwrite: replaced.has(file), signal, onProgress: row.progress,
      });
      // Somebody else was faster since it was looked for.
      if (asset.existing) row.failed('not uploaded: a file of that name has come meanwhile');
      else {
        row.done(asset);
        came += 1;
      }
    } catch (error) {
      row.failed(isSettled(error) ? 'cancelled' : error.message);
    }
  }
  return came;
}

/** Takes files in, unless others are on their way. */
async function upload(files) {
  if (files.length === 0) return;
  if (running !== null) {
    complain('Other files are being uploaded: wait for them, or cancel them.');
    return;
  }
  const own = new AbortController();
  running = own;
  try {
    const { folder } = currentRoute();
    const { files: wanted, replaced } = await chosen(files, folder);
    if (wanted.length === 0) return;
    const came = await send(wanted, folder, replaced, own.signal);
    title.textContent = `${came} of ${counted(wanted.length, 'file')} uploaded to ${folder || 'All files'}`;
    close.textContent = 'Close';
    if (panel.hidden) return;
    await afterUpload();
    if (came === wanted.length) say(title.textContent);
    else complain(title.textContent);
  } finally {
    running = null;
  }
}

byId('upload').addEventListener('click', () => input.click());

input.addEventListener('change', () => {
  const files = [...input.files];
  // So that the same files can be chosen again.
  input.value = '';
  reporting(() => upload(files));
});

close.addEventListener('click', () => {
  if (running !== null) {
    running.abort();
    return;
  }
  panel.hidden = true;
  byId('upload').focus();
});

const hasFiles = (event) => event.dataTransfer?.types.includes('Files') ?? false;
const isOverLibrary = (event) => !library.hidden && library.contains(event.target);

function showDrop(isOver) {
  library.toggleAttribute('data-drop', isOver);
}

// A file that is dropped beside the library would otherwise be opened in the page's place.
document.addEventListener('dragover', (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = isOverLibrary(event) ? 'copy' : 'none';
  showDrop(isOverLibrary(event));
});

document.addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) showDrop(false);
});

document.addEventListener('drop', (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  showDrop(false);
  if (!isOverLibrary(event)) return;
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  if (entries.some((entry) => entry?.isDirectory)) {
    complain('Folders cannot be uploaded: open the folder and drop its files.');
    return;
  }
  const files = [...event.dataTransfer.files];
  reporting(() => upload(files));
});

window.addEventListener('beforeunload', (event) => {
  if (running !== null) event.preventDefault();
});
