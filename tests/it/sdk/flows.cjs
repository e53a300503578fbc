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
