// The Media Library in a real browser: node page.cjs MOUNTPOINT ADDRESS KEY SECRET PICTURES.
// Each flow looks at the page and at the files in the mount, at the width of a desk and of a phone.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { chromium } = require('playwright-core');

const [mount, address, key, secret, pictures] = process.argv.slice(2);
const inMount = (name) => path.join(mount, name);
const test = (name) => `[data-test=${name}]`;

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC',
  'base64',
);

function prepare() {
  fs.mkdirSync(inMount('trip/day one'), { recursive: true });
  fs.writeFileSync(inMount('trip/cat.png'), PNG);
  fs.writeFileSync(inMount('trip/day one/b.txt'), 'b');
  for (const name of ['gone-1.txt', 'gone-2.txt', 'gone-3.txt']) {
    fs.writeFileSync(inMount(name), name);
    fs.unlinkSync(inMount(name));
  }
}

async function logIn(page) {
  const answer = await page.goto(`http://${address}/`);
  const policy = answer.headers()['content-security-policy'];
  for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
    assert.ok(policy.split('; ').includes(rule), policy);
  }
  assert.ok(!policy.includes('unsafe'), policy);
  await page.fill(test('login-key'), key);
  await page.fill(test('login-secret'), 'wrong');
  await page.click(test('login-submit'));
  await page.waitForFunction(() => document.querySelector('[data-test=login-error]').textContent !== '');
  await page.fill(test('login-secret'), secret);
  await page.keyboard.press('Enter');
  await page.waitForSelector(test('asset-card'));
}

const card = (name) => `${test('asset-card')}[data-public-id="${name}"]`;

async function noSideways(page, where) {
  const width = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(width[0] <= width[1], `${where}: ${width[0]} wide in a window of ${width[1]}`);
}

async function message(page, words) {
  await page.waitForFunction(
    (expected) => document.querySelector('[data-test=message]').textContent.includes(expected), words,
  );
}

async function browsesAndSearches(page, shot) {
  await page.waitForSelector(test('folder-link'));
  await shot('library');
  await page.click(`${test('folder-link')}:has-text("trip")`);
  await page.waitForSelector(card('trip/cat'));
  const loaded = await page.waitForFunction(() => {
    const picture = document.querySelector('[data-public-id="trip/cat"] img');
    return picture?.complete && picture.naturalWidth;
  });
  assert.strictEqual(await loaded.jsonValue(), 10, 'the thumbnail is the picture');
  await page.click(`${card('trip/cat')} a`);
  await page.click(test('version-preview'));
  const shown = await page.waitForFunction((place) => {
    const picture = document.querySelector(`${place} img`);
    return picture?.complete && [picture.naturalWidth, picture.alt, new URL(picture.src).pathname];
  }, test('version-preview-area'));
  const [pixels, alt, from] = await shown.jsonValue();
  assert.deepStrictEqual([pixels, from], [10, '/v1_1/demo/download_backup'], 'the preview is the version');
  assert.ok(alt.startsWith('cat.png, '), alt);
  await shot('picture');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('[data-test=details]').open);
  await page.click(`${test('folder-link')}:has-text("day one")`);
  await page.waitForSelector(card('trip/day one/b.txt'));
  await page.goBack();
  await page.waitForSelector(card('trip/cat'));
  await page.reload();
  await page.waitForSelector(card('trip/cat'));
  await page.fill(test('search'), 'format:png OR filename:b');
  await page.keyboard.press('Enter');
  await page.waitForSelector(card('trip/day one/b.txt'));
  assert.strictEqual(await page.locator(test('asset-card')).count(), 2);
  await page.fill(test('search'), 'format:(png');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => /position/.test(document.querySelector('[data-test=search-error]').textContent));
  await page.fill(test('search'), '');
  await page.keyboard.press('Enter');
  await page.waitForSelector(card('trip/cat'));
}

async function showsHistory(page, shot, notes) {
  await page.goto(`http://${address}/#`);
  await page.click(`${card(notes)} a`);
  await page.waitForSelector(test('version-row'));
  assert.strictEqual(await page.locator(test('version-row')).count(), 2);
  const rows = page.locator(test('version-row'));
  await rows.nth(1).locator(test('version-preview')).click();
  await page.waitForSelector('pre:has-text("three")');
  await rows.nth(0).locator(test('version-diff')).click();
  await page.waitForSelector(test('diff'));
  assert.strictEqual(await page.locator(`${test('diff')} ins`).count(), 2);
  assert.strictEqual(await page.locator(`${test('diff')} del`).count(), 1);
  await shot('history');
  const [opened] = await Promise.all([
    page.context().waitForEvent('page'),
    rows.nth(1).locator(test('version-open')).click(),
  ]);
  await opened.waitForLoadState();
  assert.ok((await opened.content()).includes('two'));
  await opened.close();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    rows.nth(1).locator(test('version-download')).click(),
  ]);
  assert.strictEqual(fs.readFileSync(await download.path(), 'utf8'), 'one\ntwo\nthree\n');
  assert.strictEqual(download.suggestedFilename(), notes);

  await rows.nth(1).locator(test('version-restore')).click();
  await message(page, 'again as it was');
  assert.strictEqual(fs.readFileSync(inMount(notes), 'utf8'), 'one\ntwo\nthree\n');
  await page.waitForFunction(() => document.querySelectorAll('[data-test=version-row]').length === 3);

  await page.locator(test('version-row')).nth(2).locator(test('version-delete')).click();
  await page.waitForSelector(test('confirm-dialog'));
  const asked = await page.textContent(test('confirm-dialog'));
  assert.ok(asked.includes('IRREVERSIBLE'), asked);
  const focused = await page.evaluate(() => document.activeElement.dataset.test);
  assert.strictEqual(focused, 'confirm-no', 'the harmless answer has the focus');
  await shot('confirm');
  await page.keyboard.press('Escape');
  assert.strictEqual(await page.locator(test('version-row')).count(), 3, 'nothing was deleted');
  await page.locator(test('version-row')).nth(2).locator(test('version-delete')).click();
  await page.click(test('confirm-yes'));
  await message(page, 'deleted for good');
  await page.waitForFunction(() => document.querySelectorAll('[data-test=version-row]').length === 2);
  assert.strictEqual(fs.readdirSync(inMount(`.versions/${notes}`)).length, 2);

  await page.selectOption(test('override'), 'off');
  await message(page, 'is not backed up');
  assert.strictEqual(await page.inputValue(test('override')), 'off');
  await page.selectOption(test('override'), 'follow');
  await message(page, 'This file is backed up');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('[data-test=details]').open);
}

async function restoresSeveral(page, shot, width) {
  await page.click(`label:has(${test('filter-deleted')})`);
  await page.waitForSelector(card('gone-1.txt'));
  await page.locator(`${card('gone-1.txt')} ${test('select-asset')}`).check();
  await page.locator(`${card('gone-3.txt')} ${test('select-asset')}`).check();
  await shot('deleted');
  await page.click(test('restore-selected'));
  await page.waitForSelector(test('restore-results'));
  await message(page, '2 of 2 files restored');
  assert.strictEqual(fs.readFileSync(inMount('gone-1.txt'), 'utf8'), 'gone-1.txt');
  assert.ok(fs.existsSync(inMount('gone-3.txt')) && !fs.existsSync(inMount('gone-2.txt')));
  await page.click(`label:has(${test('filter-active')})`);
  await page.waitForSelector(card('gone-1.txt'));
  for (const name of ['gone-1.txt', 'gone-3.txt']) fs.unlinkSync(inMount(name));

  // What does not come back says why, in the list and in the history.
  const place = `was-${width}`;
  fs.mkdirSync(inMount(place));
  fs.writeFileSync(inMount(`${place}/inside.txt`), 'inside');
  fs.unlinkSync(inMount(`${place}/inside.txt`));
  fs.rmdirSync(inMount(place));
  fs.writeFileSync(inMount(place), 'a file');
  await page.click(`label:has(${test('filter-deleted')})`);
  await page.fill(test('search'), `folder:${place}`);
  await page.keyboard.press('Enter');
  await page.locator(`${card(`${place}/inside.txt`)} ${test('select-asset')}`).check();
  await page.click(test('restore-selected'));
  const why = 'a file is where a folder would be';
  await page.waitForSelector(`${test('restore-result')}.failed:has-text("${why}")`);
  await page.click(`${card(`${place}/inside.txt`)} a`);
  await page.click(test('version-restore'));
  await message(page, why);
  await page.click(test('details-close'));
  fs.unlinkSync(inMount(place));
  await page.fill(test('search'), '');
  await page.keyboard.press('Enter');
  await page.click(`label:has(${test('filter-active')})`);
  await page.waitForSelector(`${test('folder-link')}:has-text("trip")`);
}

async function uploads(page, shot, width) {
  await page.click(`${test('folder-link')}:has-text("trip")`);
  await page.waitForSelector(card('trip/cat'));
  const [first, second] = [`one ${width}.png`, `zwei-${width}.txt`];
  const files = [
    { name: first, mimeType: 'image/png', buffer: PNG },
    { name: second, mimeType: 'text/plain', buffer: Buffer.from('zwei') },
  ];
  // By the keyboard, as whoever sees nothing would.
  const chosen = page.waitForEvent('filechooser');
  await page.focus(test('upload'));
  await page.keyboard.press('Enter');
  const chooser = await chosen;
  assert.ok(chooser.isMultiple());
  await chooser.setFiles(files);
  await message(page, '2 of 2 files uploaded to trip');
  await page.waitForSelector(card(`trip/one ${width}`));
  assert.ok(fs.readFileSync(inMount(`trip/${first}`)).equals(PNG));
  assert.strictEqual(fs.readFileSync(inMount(`trip/${second}`), 'utf8'), 'zwei');
  assert.strictEqual(await page.locator(`${test('upload-row')} a`).count(), 2);

  // One that is there is replaced only by whoever says so.
  const again = [{ ...files[1], buffer: Buffer.from('drei') }, { name: `neu-${width}.txt`, mimeType: 'text/plain', buffer: Buffer.from('neu') }];
  await page.setInputFiles(test('upload-input'), again);
  await page.waitForSelector(test('confirm-dialog'));
  const asked = await page.textContent(test('confirm-dialog'));
  assert.ok(asked.includes(second) && !asked.includes(`neu-${width}`), asked);
  await page.keyboard.press('Escape');
  await message(page, '1 of 1 file uploaded to trip');
  assert.strictEqual(fs.readFileSync(inMount(`trip/${second}`), 'utf8'), 'zwei');
  assert.strictEqual(fs.readFileSync(inMount(`trip/neu-${width}.txt`), 'utf8'), 'neu');
  await page.click('#message-close');
  await page.setInputFiles(test('upload-input'), again.slice(0, 1));
  await page.click(test('confirm-yes'));
  await message(page, '1 of 1 file uploaded to trip');
  assert.strictEqual(fs.readFileSync(inMount(`trip/${second}`), 'utf8'), 'drei');
  assert.strictEqual(fs.readdirSync(inMount(`.versions/trip/${second}`)).length, 2);

  // Dropped, and one of them refused: the others come, and one line says why it did not.
  const busy = `busy-${width}.txt`;
  fs.writeFileSync(inMount(`trip/${busy}`), 'busy');
  const writer = fs.openSync(inMount(`trip/${busy}`), 'a');
  const dropped = await page.evaluateHandle((names) => {
    const transfer = new DataTransfer();
    for (const name of names) transfer.items.add(new File([name], name));
    return transfer;
  }, [busy, `dropped-${width}.txt`]);
  await page.dispatchEvent('#library', 'dragover', { dataTransfer: dropped });
  assert.ok(await page.evaluate(() => document.querySelector('#library').hasAttribute('data-drop')));
  await page.dispatchEvent('#library', 'drop', { dataTransfer: dropped });
  await page.click(test('confirm-yes'));
  await message(page, '1 of 2 files uploaded to trip');
  const problem = await page.textContent(`${test('upload-row')}.failed .error`);
  assert.ok(/open for writing/.test(problem) && !problem.includes('\n'), problem);
  assert.ok(fs.existsSync(inMount(`trip/dropped-${width}.txt`)));
  fs.closeSync(writer);
  await shot('uploads');

  // A large one shows how far it is, and can be cancelled.
  await page.route('**/raw/upload', () => {});
  await page.setInputFiles(test('upload-input'), { name: 'never.bin', mimeType: 'text/plain', buffer: Buffer.alloc(1000) });
  await page.waitForSelector(`${test('upload-row')} progress`);
  await page.click(test('uploads-close'));
  await message(page, '0 of 1 file uploaded');
  assert.strictEqual(await page.textContent(`${test('upload-row')} .error`), 'cancelled');
  await page.unroute('**/raw/upload');
  assert.ok(!fs.existsSync(inMount('trip/never.bin')));
  await page.click(test('uploads-close'));
  const focused = await page.evaluate(() => document.activeElement.dataset.test);
  assert.strictEqual(focused, 'upload', 'the focus is where it was');
  fs.unlinkSync(inMount(`trip/${first}`));
  await page.goto(`http://${address}/#`);
  await page.waitForSelector(`${test('folder-link')}:has-text("trip")`);
}

/** Each control in a place has a name. */
async function speaks(page, place) {
  const heard = await place.ariaSnapshot();
  const isNameless = (line) => /^ *- (button|link|textbox|searchbox|checkbox|radio|combobox|switch|progressbar|dialog|alertdialog)\b(?! ")/.test(line);
  assert.deepStrictEqual(heard.split('\n').filter(isNameless), [], heard);
}

async function isReadOut(page, shot, notes) {
  const by = (role, name) => page.getByRole(role, { name, exact: true });
  const are = async (...controls) => {
    for (const [role, name] of controls) {
      assert.strictEqual(await by(role, name).count(), 1, `${role} "${name}"`);
    }
  };
  await are(
    ['navigation', 'Main'], ['link', 'Media Library'], ['link', 'Backup'], ['button', 'Log out'],
    ['searchbox', 'Search in all folders'], ['button', 'Search'],
    ['navigation', 'Folder path'], ['list', 'Folders'], ['list', 'Files'], ['heading', 'All files'],
    ['group', 'Show files that are'], ['radio', 'Active'], ['radio', 'Deleted'],
    ['checkbox', 'Subfolders too'], ['combobox', 'Sort'], ['button', 'List'], ['button', 'Upload'],
    ['link', notes],
  );
  assert.ok(await by('radio', 'Active').isChecked());
  assert.strictEqual(await page.locator('h1:visible').count(), 1);
  await speaks(page, page.locator('#app'));

  await by('link', notes).click();
  await page.waitForSelector(test('version-row'));
  await are(['dialog', notes], ['heading', 'Version history'], ['combobox', 'Backup of this file'], ['button', 'Close']);
  const versions = page.getByRole('list', { name: 'Versions, newest first' }).getByRole('listitem');
  assert.strictEqual(await versions.count(), 2);
  for (const version of await versions.all()) {
    const when = / the version of \S/;
    for (const [role, word] of [
      ['checkbox', 'Select'], ['button', 'Preview'], ['link', 'Open'], ['link', 'Download'],
      ['button', 'Restore'], ['button', 'Delete'],
    ]) {
      const name = new RegExp(`^${word}${when.source}`);
      assert.strictEqual(await version.getByRole(role, { name }).count(), 1, word);
    }
  }
  await speaks(page, page.locator(test('details')));
  await versions.first().getByRole('button', { name: /^Delete / }).click();
  const question = page.getByRole('alertdialog', { name: 'Delete 1 version?' });
  await question.waitFor();
  const told = await question.getAttribute('aria-describedby');
  const words = await Promise.all(told.split(' ').map((id) => page.textContent(`#${id}`)));
  assert.ok(words.join(' ').includes('IRREVERSIBLE'), 'the warning is read out with the question');
  await speaks(page, question);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('[data-test=details]').open);

  await by('link', 'Backup').click();
  await page.waitForSelector(`${test('backup-switch')}[aria-checked=true]`);
  await are(['switch', 'Automatic backup'], ['button', 'Start initial backup'], ['heading', 'Status'], ['heading', 'Space']);
  assert.ok(await by('switch', 'Automatic backup').isChecked());
  await speaks(page, page.locator('#app'));
  await by('link', 'Media Library').click();
}

/** What was uploaded as a page or a drawing with a program in it, however it is opened. */
async function runsNothingUploaded(page) {
  const program = 'document.documentElement.dataset.ran = "yes"; if (opener) opener.ran = true;';
  const files = {
    'evil.html': `<!doctype html><title>evil</title><script>${program}</script><p>words</p>`,
    'evil.svg': `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload='${program}'><script>${program}</script></svg>`,
  };
  for (const [name, text] of Object.entries(files)) {
    fs.writeFileSync(inMount(name), text);
    const kind = name.endsWith('svg') ? 'image' : 'raw';
    const id = kind === 'image' ? 'evil' : name;
    await page.goto(`http://${address}/#`);
    await page.reload();
    await page.click(`${card(id)} a`);
    const row = page.locator(test('version-row')).first();
    const version = await row.locator(test('version-open')).getAttribute('href');
    assert.ok(version.includes('disposition=inline'), version);
    await row.locator(test('version-preview')).click();
    await page.waitForSelector(`${test('version-preview-area')} ${kind === 'image' ? 'img' : 'pre'}`);
    for (const place of [version, `/demo/${kind}/upload/${name}`]) {
      const opened = await page.context().newPage();
      const answer = await opened.goto(`http://${address}${place}`);
      assert.strictEqual(answer.status(), 200, place);
      assert.ok(/\bsandbox$/.test(answer.headers()['content-security-policy']), place);
      const [origin, ran] = await opened.evaluate(() => [self.origin, document.documentElement.dataset.ran]);
      assert.deepStrictEqual([origin, ran], ['null', undefined], `${place} runs in an origin of its own, and not at all`);
      await opened.close();
    }
    const [opened] = await Promise.all([page.context().waitForEvent('page'), row.locator(test('version-open')).click()]);
    await opened.waitForLoadState();
    assert.strictEqual(await opened.evaluate(() => self.origin), 'null');
    await opened.close();
    assert.strictEqual(await page.evaluate(() => window.ran), undefined);
    assert.strictEqual(await page.evaluate(() => document.documentElement.dataset.ran), undefined);
    await page.keyboard.press('Escape');
    fs.unlinkSync(inMount(name));
  }
  await page.goto(`http://${address}/#`);
}

async function backsUp(page, shot) {
  await page.waitForFunction(() => document.querySelector('[data-test=status]').textContent === 'Backed up');
  await page.waitForFunction((place) => /^\d+ files?, [\d.,]+ \w+ stored$/.test(document.querySelector(place).textContent), test('usage'));
  await page.click(test('view-backup'));
  await page.waitForSelector(`${test('backup-switch')}[aria-checked=true]`);
  assert.strictEqual(await page.textContent(test('status-words')), 'Backed up');
  const facts = (place) => page.evaluate((list) => Object.fromEntries(
    [...document.querySelectorAll(`${list} dt`)].map((name) => [name.textContent, name.nextElementSibling.textContent]),
  ), test(place));
  const [status, space] = [await facts('status-facts'), await facts('space-facts')];
  assert.ok(status.Waiting !== undefined && status.Store.startsWith('file:'), JSON.stringify(status));
  const stored = space['Stored, without repetitions and compressed'];
  assert.strictEqual(await page.textContent(test('usage')), `${space.Files}, ${stored} stored`);
  assert.ok(parseInt(space.Versions, 10) > 5 && parseInt(space['Deleted files that can be restored'], 10) > 1, JSON.stringify(space));
  for (const [bytes, words] of [[3072, '3 KiB on the way to the store'], [0, 'the record of what is new, on the way to the store']]) {
    await page.route('**/backup/status', async (route) => {
      const now = await (await route.fetch()).json();
      await route.fulfill({ json: { ...now, pending_versions: 0, pending_bytes: bytes, oldest_pending_seconds: 7 } });
    });
    await page.reload();
    await page.waitForSelector(`${test('status-facts')}:has-text("${words}")`);
    await page.unroute('**/backup/status');
  }
  await page.reload();
  await page.click(test('backup-switch'));
  await page.click(test('confirm-yes'));
  await message(page, 'Automatic backup is off');
  fs.writeFileSync(inMount('unkept.txt'), 'not yet');
  await page.click(test('backup-switch'));
  await message(page, 'Automatic backup is on');
  // As if it took its time.
  let processed = 0;
  await page.route('**/initial_backup/*', async (route) => {
    const run = await (await route.fetch()).json();
    processed += 7;
    const left = { ...run, status: 'active', completion_time: null, processed_assets_count: processed };
    await route.fulfill({ json: left });
  });
  await page.click(test('initial-backup-start'));
  for (const count of [7, 14]) {
    await page.waitForSelector(`${test('initial-backup-progress')}:has-text("Running: ${count} files so far")`);
    assert.ok(await page.getByRole('progressbar', { name: 'Initial backup' }).isVisible());
    assert.strictEqual(await page.getAttribute(test('initial-backup-start'), 'aria-disabled'), 'true');
  }
  await shot('running');
  await page.unroute('**/initial_backup/*');
  await page.waitForFunction(() => /Completed: \d+ files/.test(document.querySelector('[data-test=initial-backup-progress]').textContent));
  assert.ok(fs.existsSync(inMount('.versions/unkept.txt')));
  await shot('backup');
  await page.click(test('view-library'));
}

(async () => {
  prepare();
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  const sizes = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
  for (const [name, viewport] of Object.entries(sizes)) {
    const context = await browser.newContext({ viewport, colorScheme: name === 'phone' ? 'dark' : 'light' });
    const page = await context.newPage();
    const wrong = [];
    page.on('pageerror', (error) => wrong.push(String(error)));
    page.on('request', (request) => {
      const { host, protocol } = new URL(request.url());
      if (protocol.startsWith('http') && host !== address) wrong.push(`asked ${request.url()}`);
    });
    page.on('console', (line) => {
      if (line.type() === 'error' && !/status of 40[014]/.test(line.text())) wrong.push(line.text());
    });
    const shot = async (place) => {
      await noSideways(page, `${name} ${place}`);
      await page.screenshot({ path: path.join(pictures, `${name}-${place}.png`) });
    };
    // A history of its own for each width.
    const notes = `notes-${name}.txt`;
    fs.writeFileSync(inMount(notes), 'one\ntwo\nthree\n');
    fs.writeFileSync(inMount(notes), 'one\nTWO\nthree\nfour\n');
    const showsItsHistory = () => showsHistory(page, shot, notes);
    const isReadOutLoud = () => isReadOut(page, shot, notes);
    const restoresFiles = () => restoresSeveral(page, shot, name);
    const uploadsFiles = () => uploads(page, shot, name);
    const flows = [logIn, browsesAndSearches, showsItsHistory, isReadOutLoud, restoresFiles, uploadsFiles, runsNothingUploaded, backsUp];
    for (const flow of flows) {
      console.log(name, flow.name);
      await flow(page, shot);
    }
    await page.setViewportSize({ width: 320, height: 640 });
    await noSideways(page, '320');
    await page.click(test('logout'));
    await page.waitForSelector(test('login-key'));
    assert.deepStrictEqual(wrong, []);
    await context.close();
  }
  await browser.close();
  console.log('all flows passed');
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
