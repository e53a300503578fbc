// Every call to the server. The session is a cookie that no script can read; what changes something
// also carries the session's token in a header.

let session = null;
let sessionEnded = () => {};

/** An answer that says no, in the server's words. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The callback learns whether there was a session before. */
export function onSessionEnd(callback) {
  sessionEnded = callback;
}

/** Whether an error is already dealt with: the log in form is shown, or nobody waits any more. */
export function isSettled(error) {
  return error.name === 'AbortError' || error.status === 401;
}

async function send(method, path, { body, signal } = {}) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && session) headers['X-CSRF-Token'] = session.csrf_token;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'keepfs does not answer. Is the server running, and the line up?');
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const message = body?.error?.message ?? `The server answered ${response.status}.`;
  return new ApiError(response.status, message);
}

async function answer(method, path, options) {
  try {
    return await send(method, path, options);
  } catch (error) {
    if (error.status === 401) endSession();
    throw error;
  }
}

function endSession() {
  const hadSession = session !== null;
  session = null;
  sessionEnded(hadSession);
}

async function json(method, path, options) {
  return (await answer(method, path, options)).json();
}

/** A path below the vault's; each part and value is encoded here and nowhere else. */
function vaultPath(parts, parameters = {}) {
  const path = ['v1_1', session.cloud_name, ...parts].map(encodeURIComponent).join('/');
  const query = Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  return query ? `/${path}?${query}` : `/${path}`;
}

export async function resumeSession() {
  session = await json('GET', '/session');
  return session;
}

/** A 401 here is a wrong key and ends no session. */
export async function logIn(key, secret) {
  const body = { api_key: key, api_secret: secret };
  session = await (await send('POST', '/session', { body })).json();
  return session;
}

export async function logOut() {
  await json('DELETE', '/session');
  endSession();
}

export const listFolders = (path, signal) =>
  json('GET', vaultPath(['folders'], { path }), { signal });

export const searchAssets = (body, signal) =>
  json('POST', vaultPath(['resources', 'search']), { body, signal });

export const assetDetails = (assetId, signal) =>
  json('GET', vaultPath(['resources', assetId], { versions: true }), { signal });

/** An address has 64 KiB at most; one path, three signs a byte, up to 12. */
const ADDRESS_MAX = 40_000;

function* partsOf(paths) {
  let part = [];
  let length = 0;
  for (const path of paths) {
    part.push(path);
    length += encodeURIComponent(path).length + 20;
    if (length > ADDRESS_MAX) {
      yield part;
      part = [];
      length = 0;
    }
  }
  if (part.length > 0) yield part;
}

/** The live files at some paths, by path. To the API the whole name of any file is a raw public_id. */
export async function findLive(paths) {
  const found = new Map();
  for (const part of partsOf(paths)) {
    const parameters = Object.fromEntries(part.map((path, place) => [`public_ids[${place}]`, path]));
    const { resources } = await json('GET', vaultPath(['resources', 'raw', 'upload'], parameters));
    for (const asset of resources) {
      found.set(asset.format ? `${asset.public_id}.${asset.format}` : asset.public_id, asset);
    }
  }
  return found;
}

/** Sends a file to a path; `fetch` cannot say how much of it is on its way. */
export function uploadFile(path, file, { overwrite, signal, onProgress }) {
  const form = new FormData();
  form.append('public_id', path);
  form.append('overwrite', String(overwrite));
  // Last: the server wants to know where it goes before it comes.
  form.append('file', file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener('abort', abort);
    request.responseType = 'json';
    request.upload.addEventListener('progress', ({ loaded, total }) => onProgress(total ? loaded / total : 1));
    request.addEventListener('load', () => {
      if (request.status === 200) {
        resolve(request.response);
        return;
      }
      if (request.status === 401) endSession();
      const words = request.response?.error?.message ?? `The server answered ${request.status}.`;
      reject(new ApiError(request.status, words));
    });
    request.addEventListener('error', () => {
      reject(new ApiError(0, 'broken off: is the server running, and the line up?'));
    });
    request.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    request.addEventListener('loadend', () => signal.removeEventListener('abort', abort));
    request.open('POST', vaultPath(['raw', 'upload']));
    request.setRequestHeader('X-CSRF-Token', session.csrf_token);
    request.send(form);
  });
}

export const setOverride = (assetId, override) =>
  json('PUT', vaultPath(['resources', assetId, 'backup']), { body: { override } });

export const restore = (body) =>
  json('POST', vaultPath(['resources', 'restore']), { body });

export const deleteVersions = (assetId, versionIds) =>
  json('DELETE', vaultPath(['resources', 'backup', assetId]), { body: { version_ids: versionIds } });

/** `attachment` saves the bytes, `inline` shows them, harmless, in the page or a tab. */
export function versionAddress(assetId, versionId, disposition) {
  const parameters = { asset_id: assetId, version_id: versionId };
  if (disposition === 'inline') parameters.disposition = 'inline';
  return vaultPath(['download_backup'], parameters);
}

export const fetchVersion = (assetId, versionId, signal) =>
  answer('GET', versionAddress(assetId, versionId, 'inline'), { signal });

export const usage = (signal) => json('GET', vaultPath(['usage']), { signal });

export const backupStatus = (signal) => json('GET', vaultPath(['backup', 'status']), { signal });

export const backupSettings = () => json('GET', vaultPath(['backup', 'settings']));

export const setAutomaticBackup = (backup) =>
  json('PUT', vaultPath(['backup', 'settings']), { body: { backup } });

export const startInitialBackup = () =>
  json('POST', vaultPath(['operations', 'initial_backup']), { body: {} });

export const initialBackups = (signal) =>
  json('GET', vaultPath(['operations', 'initial_backup'], { max_results: 5 }), { signal });

export const initialBackup = (id, signal) =>
  json('GET', vaultPath(['operations', 'initial_backup', id]), { signal });
