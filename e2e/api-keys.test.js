// API keys, with and without JavaScript: made after a proof, shown once, used, rotated, revoked.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launchBrowser, mailTo, signIn, startDemo } from './demo.js';

let demo;
let browser;

before(async () => {
  browser = await launchBrowser();
});
after(() => browser?.close());
beforeEach(async () => {
  demo = await startDemo();
});
afterEach(async () => {
  assert.equal(await demo?.stop(), 0, 'the demo ends well');
});

const KEYS = '/auth/account/api-keys';
const KEY = /^blt_[0-9A-Za-z]{46}$/;

async function press(page, action) {
  await Promise.all([page.waitForEvent('framenavigated'), page.locator(`form[action="${action}"] button`).first().click()]);
  await page.waitForLoadState();
}

const call = (path, key) => fetch(`${demo.url}${path}`, { headers: { authorization: `Bearer ${key}`, accept: 'application/json' } });

for (const javaScriptEnabled of [true, false]) {
  test(`a program gets a key, another one, and none, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async () => {
    const context = await browser.newContext({ javaScriptEnabled, locale: 'en-GB', permissions: ['clipboard-read', 'clipboard-write'] });
    const page = await context.newPage();
    const email = 'ana@example.com';
    await signIn(page, demo, email, demo.passwords[email]);
    await page.goto(`${demo.url}/auth/account`);
    await page.getByRole('link', { name: 'Manage API keys' }).click();
    await page.getByText('There are no keys yet.').waitFor();
    await page.getByRole('link', { name: 'Make a key' }).click();

    // Nothing chosen: the form comes back and says so, with what was typed.
    await page.locator('input[name=name]').fill('Nightly export');
    await press(page, `${KEYS}/new`);
    await page.getByText('Choose at least one.').waitFor();
    assert.equal(await page.locator('input[name=name]').inputValue(), 'Nightly export');
    assert.equal(await page.locator('input[name="scope.jobs"]').count(), 0, 'only administrators may give that');
    await page.locator('input[name="scope.orders"]').check();
    await press(page, `${KEYS}/new`);

    const key = (await page.locator('#new-key').innerText()).trim();
    assert.match(key, KEY);
    assert.ok(!page.url().includes(key));
    const copy = page.getByRole('button', { name: 'Copy' });
    if (javaScriptEnabled) {
      await copy.click();
      await page.getByRole('button', { name: 'Copied' }).waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
    } else {
      assert.ok(!(await copy.isVisible()));
    }
    const mail = await mailTo(demo, email);
    assert.ok(mail.text.includes('Nightly export') && !mail.text.includes(key), mail.text);
    assert.equal((await call('/export', key)).status, 200);
    assert.equal((await call('/orders', key)).status, 403);
    assert.equal((await call('/api/v1/sessions', key)).status, 403);

    await page.getByRole('link', { name: 'I have kept it' }).click();
    assert.ok(!(await page.content()).includes(key));
    await page.getByRole('link', { name: 'Rotate the key Nightly export' }).click();
    await page.locator('select[name=overlap]').selectOption('1h');
    await press(page, `${KEYS}/rotate`);
    const next = (await page.locator('#new-key').innerText()).trim();
    assert.match(next, KEY);
    assert.notEqual(next, key);
    for (const one of [key, next]) assert.equal((await call('/export', one)).status, 200);

    await page.goto(`${demo.url}${KEYS}`);
    await page.getByText('Replaced', { exact: true }).waitFor();
    for (let left = 2; left > 0; left -= 1) {
      await press(page, `${KEYS}/revoke`);
      await page.getByText('The key does not work any more.').waitFor();
    }
    for (const one of [key, next]) assert.equal((await call('/export', one)).status, 401);
    await context.close();
  });
}
