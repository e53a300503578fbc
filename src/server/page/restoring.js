// Bringing files back. The server answers for each file by itself: some may come back, others not.

import { restore } from './api.js';

const CALL_MAX = 100;

const REASONS = {
  no_backup: 'there is no version to restore',
  unauthorized: 'this key may not restore it',
};

/** The latest versions of some assets: `{ asset, problem }` each, without a problem where it is back. */
export async function restoreLatest(assets) {
  const results = [];
  for (let from = 0; from < assets.length; from += CALL_MAX) {
    const part = assets.slice(from, from + CALL_MAX);
    const answer = await restore({ asset_ids: part.map((asset) => asset.asset_id) });
    results.push(...part.map((asset) => ({ asset, problem: problemOf(answer[asset.asset_id]) })));
  }
  return results;
}

/** One version of one asset: what kept it from coming back, or null. */
export async function restoreVersion(assetId, versionId) {
  const answer = await restore({ asset_ids: [assetId], versions: [versionId] });
  return problemOf(answer[assetId]);
}

function problemOf(result) {
  if (result === undefined) return 'the server said nothing about it';
  return result.error ? result.message ?? REASONS[result.error] ?? result.error : null;
}
