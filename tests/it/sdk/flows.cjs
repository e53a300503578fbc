// What people do with the Node SDK, against a mounted vault: node flows.cjs MOUNTPOINT.
// Each flow looks at the answers and at the files in the mount. CLOUDINARY_URL says where.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Readable } = require('node:stream');
const cloudinary = require('cloudinary').v2;

const mount = process.argv[2];
const inMount = (name) => path.join(mount, name);

const upload = (bytes, options) => new Promise((resolve, reject) => {
  const stream = cloudinary.uploader.upload_stream(options, (error, answer) => {
    if (error) reject(error); else resolve(answer);
  });
  Readable.from([bytes]).pipe(stream);
});

async function refused(call, status, words) {
  try {
    await call();
  } catch (error) {
    const told = error.error || error;
    assert.strictEqual(told.http_code, status, JSON.stringify(told));
    assert.ok(told.message.includes(words), told.message);
    return;
  }
  assert.fail(`it should have been refused: ${words}`);
}

const flows = {
  async 'uploads, overwrites and details'() {
    const first = await upload(Buffer.from('one'), { resource_type: 'raw', public_id: 'nf/a b.txt', backup: true, tags: ['x', 'y&z'], context: 'k=v' });
    assert.deepStrictEqual(first.tags, ['x', 'y&z']);
    assert.strictEqual(fs.readFileSync(inMount('nf/a b.txt'), 'utf8'), 'one');
    const second = await upload(Buffer.from('two!'), { resource_type: 'raw', public_id: 'nf/a b.txt' });
    assert.strictEqual(second.overwritten, true);
    const details = await cloudinary.api.resource('nf/a b.txt', { resource_type: 'raw', versions: true });
    assert.deepStrictEqual(details.versions.map((version) => version.size), [3, 4]);
    const plain = await cloudinary.api.resource('nf/a b.txt', { resource_type: 'raw' });
    assert.strictEqual(plain.versions, undefined);
  },

  async 'delete, search, restore, several at once'() {
    await upload(Buffer.from('other'), { resource_type: 'raw', public_id: 'nb.txt' });
    const deleted = await cloudinary.api.delete_resources(['nf/a b.txt', 'nb.txt', 'nope'], { resource_type: 'raw' });
    assert.deepStrictEqual(deleted.deleted, { 'nf/a b.txt': 'deleted', 'nb.txt': 'deleted', nope: 'not_found' });
    const found = await cloudinary.search.expression('status=deleted AND resource_type:raw')
      .sort_by('public_id', 'asc').with_field('tags').max_results(5).execute();
    assert.deepStrictEqual(found.resources.map((row) => row.public_id), ['nb.txt', 'nf/a b.txt']);
    const gone = await cloudinary.api.resource('nf/a b.txt', { resource_type: 'raw', versions: true });
    assert.strictEqual(gone.placeholder, true);
    const restored = await cloudinary.api.restore(['nf/a b.txt', 'nb.txt', 'nothere'], { resource_type: 'raw' });
    assert.deepStrictEqual(restored.nothere, { error: 'no_backup' });
    assert.strictEqual(fs.readFileSync(inMount('nf/a b.txt'), 'utf8'), 'two!');
    const older = await cloudinary.api.restore(['nf/a b.txt'], { resource_type: 'raw', versions: [gone.versions[0].version_id] });
    assert.strictEqual(older['nf/a b.txt'].bytes, 3);
    assert.strictEqual(fs.readFileSync(inMount('nf/a b.txt'), 'utf8'), 'one');
  },

  async 'rename, labels, and refusals that reach the caller'() {
    const renamed = await cloudinary.uploader.rename('nb.txt', 'nc.txt', { resource_type: 'raw' });
    assert.strictEqual(renamed.public_id, 'nc.txt');
    await refused(() => cloudinary.uploader.rename('nobody', 'x', { resource_type: 'raw' }), 404, 'Resource not found - nobody');
    await refused(() => cloudinary.uploader.rename('nc.txt', 'nf/a b.txt', { resource_type: 'raw' }), 400, 'already exists');
    await cloudinary.uploader.add_tag('t', ['nc.txt'], { resource_type: 'raw' });
    await cloudinary.api.update('nc.txt', { resource_type: 'raw', context: 'c=d' });
    const details = await cloudinary.api.resource('nc.txt', { resource_type: 'raw' });
    assert.deepStrictEqual([details.tags, details.context.custom], [['t'], { c: 'd' }]);
    await refused(() => cloudinary.search.expression('format:*x').execute(), 400, 'position');
  },

  async 'downloads, and deletion of versions for good'() {
    const details = await cloudinary.api.resource('nf/a b.txt', { resource_type: 'raw', versions: true });
    const url = cloudinary.utils.download_backedup_asset(details.asset_id, details.versions[1].version_id);
    assert.strictEqual(await (await fetch(url)).text(), 'two!');
    const answer = await cloudinary.api.delete_backed_up_assets(details.asset_id, [details.versions[1].version_id]);
    assert.deepStrictEqual(answer.deleted_version_ids, [details.versions[1].version_id]);
    const destroyed = await cloudinary.uploader.destroy('nc.txt', { resource_type: 'raw' });
    assert.strictEqual(destroyed.result, 'ok');
    assert.ok(!fs.existsSync(inMount('nc.txt')) && fs.existsSync(inMount('.deleted/nc.txt')));
  },

  async 'backup of one upload wins over the vault both ways'() {
    const raw = { resource_type: 'raw', public_id: 'nk.txt' };
    const unkept = await upload(Buffer.from('1'), { ...raw, backup: false });
    assert.deepStrictEqual([unkept.backup, unkept.version_id], [false, undefined]);
    assert.ok(!fs.existsSync(inMount('.versions/nk.txt')));
    const details = await cloudinary.api.resource('nk.txt', { resource_type: 'raw', versions: true });
    assert.deepStrictEqual(details.versions, []);
    const kept = await upload(Buffer.from('2'), { ...raw, backup: true });
    assert.strictEqual(kept.backup, true);
    assert.strictEqual(fs.readdirSync(inMount('.versions/nk.txt')).length, 1);
    await upload(Buffer.from('3'), { ...raw, public_id: 'ng.txt', backup: false });
    await cloudinary.api.delete_resources(['ng.txt'], { resource_type: 'raw' });
    await refused(() => cloudinary.api.resource('ng.txt', { resource_type: 'raw' }), 404, 'ng.txt');
    const restored = await cloudinary.api.restore(['ng.txt'], { resource_type: 'raw' });
    assert.deepStrictEqual(restored['ng.txt'], { error: 'no_backup' });
    assert.ok(!fs.existsSync(inMount('ng.txt')));
  },

  async 'restores by asset_id, with versions and without, live and deleted'() {
    const raw = { resource_type: 'raw' };
    for (const text of ['one', 'two', 'three']) await upload(Buffer.from(text), { ...raw, public_id: 'na/1.txt' });
    await upload(Buffer.from('other'), { ...raw, public_id: 'na/2.txt' });
    const first = await cloudinary.api.resource('na/1.txt', { ...raw, versions: true });
    const second = await cloudinary.api.resource('na/2.txt', raw);
    const read = () => ['na/1.txt', 'na/2.txt'].map((name) => fs.readFileSync(inMount(name), 'utf8'));
    await cloudinary.api.delete_resources(['na/1.txt', 'na/2.txt'], raw);
    assert.ok(!fs.existsSync(inMount('na/1.txt')) && !fs.existsSync(inMount('na/2.txt')));
    const both = await cloudinary.api.restore_by_asset_ids([first.asset_id, second.asset_id]);
    assert.deepStrictEqual([both[first.asset_id].public_id, both[second.asset_id].public_id], ['na/1.txt', 'na/2.txt']);
    assert.deepStrictEqual(read(), ['three', 'other']);
    const older = await cloudinary.api.restore_by_asset_ids([first.asset_id], { versions: [first.versions[0].version_id] });
    assert.strictEqual(older[first.asset_id].bytes, 3);
    assert.deepStrictEqual(read(), ['one', 'other']);
    await refused(() => cloudinary.api.restore_by_asset_ids(['abc123']), 400, 'Invalid asset_id: abc123');
    await refused(() => cloudinary.api.restore_by_asset_ids([first.asset_id], { versions: ['a', 'b'] }), 400, 'must match');
  },

  async 'the name of a deleted asset is reserved, and its history goes on'() {
    const raw = { resource_type: 'raw' };
    const first = await upload(Buffer.from('one'), { ...raw, public_id: 'nr.txt' });
    await upload(Buffer.from('other'), { ...raw, public_id: 'no.txt' });
    await cloudinary.uploader.destroy('nr.txt', raw);
    for (const overwrite of [false, true]) {
      await refused(() => cloudinary.uploader.rename('no.txt', 'nr.txt', { ...raw, overwrite }), 400, 'belongs to a deleted asset');
      assert.ok(fs.existsSync(inMount('no.txt')) && !fs.existsSync(inMount('nr.txt')));
    }
    await upload(Buffer.from('two'), { ...raw, public_id: 'nr.txt' });
    const details = await cloudinary.api.resource('nr.txt', { ...raw, versions: true });
    assert.deepStrictEqual([details.asset_id, details.versions.length], [first.asset_id, 2]);
    assert.strictEqual(fs.readdirSync(inMount('.versions/nr.txt')).length, 2);
  },

  async 'listings, whole and page by page'() {
    const raw = { resource_type: 'raw', type: 'upload' };
    const names = ['nl/1.txt', 'nl/2.txt', 'nl/3.txt'];
    for (const name of names) await upload(Buffer.from(name), { ...raw, public_id: name, tags: ['listed'] });
    await upload(Buffer.from('gone'), { ...raw, public_id: 'nl/gone.txt', tags: ['listed'] });
    await cloudinary.api.delete_resources(['nl/gone.txt'], { resource_type: 'raw' });
    const ids = ({ resources }) => resources.map((row) => row.public_id);
    const first = await cloudinary.api.resources({ ...raw, prefix: 'nl/', max_results: 2 });
    const rest = await cloudinary.api.resources({ ...raw, prefix: 'nl/', max_results: 2, next_cursor: first.next_cursor });
    assert.deepStrictEqual([ids(first), ids(rest), rest.next_cursor], [names.slice(0, 2), names.slice(2), undefined]);
    const down = await cloudinary.api.resources({ ...raw, prefix: 'nl/', direction: 'desc' });
    assert.deepStrictEqual(ids(down), [...names].reverse());
    const tagged = await cloudinary.api.resources_by_tag('listed', { ...raw, tags: true });
    assert.deepStrictEqual([ids(tagged), tagged.resources[0].tags], [names, ['listed']]);
    const named = await cloudinary.api.resources_by_ids([...names, 'nl/gone.txt'], raw);
    assert.deepStrictEqual(ids(named), names);
    const byAssetIds = await cloudinary.api.resources_by_asset_ids(named.resources.map((row) => row.asset_id));
    assert.deepStrictEqual(ids(byAssetIds), names);
    const one = await cloudinary.api.resource_by_asset_id(named.resources[0].asset_id, { versions: true });
    assert.deepStrictEqual([one.public_id, one.versions.length], [names[0], 1]);
    assert.ok(ids(await cloudinary.api.resources({ resource_type: 'raw', max_results: 500 })).includes(names[0]));
    const found = await cloudinary.search.expression('folder:nl AND status:(active OR deleted)').sort_by('public_id', 'asc').execute();
    assert.deepStrictEqual(ids(found), [...names, 'nl/gone.txt']);
    assert.deepStrictEqual((await cloudinary.api.resource_types()).resource_types.sort(), ['image', 'raw', 'video']);
  },

  async 'deletions by prefix, by tag and by asset_ids can be taken back'() {
    const raw = { resource_type: 'raw' };
    const made = {};
    for (const name of ['nd/1.txt', 'nd/2.txt', 'nt.txt', 'ni.txt']) {
      made[name] = await upload(Buffer.from(name), { ...raw, public_id: name, tags: name === 'nt.txt' ? ['leaving'] : [] });
    }
    const outcomes = await Promise.all([
      cloudinary.api.delete_resources_by_prefix('nd/', raw),
      cloudinary.api.delete_resources_by_tag('leaving', raw),
      cloudinary.api.delete_resources_by_asset_ids([made['ni.txt'].asset_id]),
    ]);
    assert.deepStrictEqual(outcomes.map(({ deleted }) => deleted), [
      { 'nd/1.txt': 'deleted', 'nd/2.txt': 'deleted' },
      { 'nt.txt': 'deleted' },
      { [made['ni.txt'].asset_id]: 'deleted' },
    ]);
    for (const name of Object.keys(made)) assert.ok(!fs.existsSync(inMount(name)) && fs.existsSync(inMount(`.deleted/${name}`)), name);
    const restored = await cloudinary.api.restore(Object.keys(made), raw);
    for (const name of Object.keys(made)) {
      assert.strictEqual(restored[name].asset_id, made[name].asset_id);
      assert.strictEqual(fs.readFileSync(inMount(name), 'utf8'), name);
    }
    assert.deepStrictEqual(restored['nt.txt'].tags, ['leaving']);
  },

  async 'all versions of a deleted asset go, and its name with them'() {
    const raw = { resource_type: 'raw' };
    for (const text of ['one', 'two']) await upload(Buffer.from(text), { ...raw, public_id: 'ne.txt' });
    await cloudinary.api.delete_resources(['ne.txt'], raw);
    const gone = await cloudinary.api.resource('ne.txt', { ...raw, versions: true });
    const versionIds = gone.versions.map((version) => version.version_id);
    const answer = await cloudinary.api.delete_backed_up_assets(gone.asset_id, versionIds);
    assert.deepStrictEqual([answer.asset_id, answer.deleted_version_ids], [gone.asset_id, versionIds]);
    assert.strictEqual(answer.failures, undefined);
    assert.ok(!fs.existsSync(inMount('.versions/ne.txt')) && !fs.existsSync(inMount('.deleted/ne.txt')));
    await refused(() => cloudinary.api.resource('ne.txt', raw), 404, 'ne.txt');
    await upload(Buffer.from('heir'), { ...raw, public_id: 'nh.txt' });
    await cloudinary.uploader.rename('nh.txt', 'ne.txt', raw);
    assert.strictEqual(fs.readFileSync(inMount('ne.txt'), 'utf8'), 'heir');
  },

  async 'versions of which one is unknown are deleted as far as they are there'() {
    for (const text of ['one', 'two']) await upload(Buffer.from(text), { resource_type: 'raw', public_id: 'nm.txt' });
    const details = await cloudinary.api.resource('nm.txt', { resource_type: 'raw', versions: true });
    const [known, unknown] = [details.versions[0].version_id, '0'.repeat(32)];
    const answer = await cloudinary.api.delete_backed_up_assets(details.asset_id, [known, unknown]);
    assert.deepStrictEqual(answer.deleted_version_ids, [known]);
    assert.deepStrictEqual(answer.failures.map((failure) => failure.version_id), [unknown]);
    assert.strictEqual(fs.readdirSync(inMount('.versions/nm.txt')).length, 1);
  },

  async 'an upload in parts'() {
    const content = Buffer.alloc(12_000_000, 'keepfs ');
    const local = inMount('local.bin');
    fs.writeFileSync(local, content);
    const answer = await new Promise((resolve, reject) => {
      cloudinary.uploader.upload_large(local, { resource_type: 'raw', public_id: 'np.bin', chunk_size: 5_000_000 },
        (error, done) => (error ? reject(error) : resolve(done)));
    });
    assert.strictEqual(answer.bytes, content.length);
    assert.ok(fs.readFileSync(inMount('np.bin')).equals(content));
  },
};

(async () => {
  for (const [name, flow] of Object.entries(flows)) {
    console.log(name);
    await flow();
  }
  console.log('all flows passed');
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
