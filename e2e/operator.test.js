// Those who help to run the place: they find somebody, see how the account stands, and act. With and without JavaScript.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fillIn, launchBrowser, linkIn, mailTo, PASSWORD, signIn, startDemo } from './demo.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const [ADMIN, BRUNO] = ['admin@example.com', 'bruno@example.com'];

let demo;
let browser;

before(async () => {
  browser = await launchBrowser();
});
after(() => browser?.close());
beforeEach(async () => {
  demo = await startDemo();
});
afterEach(() => demo?.stop());

/** Opens one of the forms of an account's page, fills it and sends it. */
async function act(page, name, fields = {}) {
  const form = page.locator(`form[action$="/${name}"]`);
  await form.locator('xpath=..').locator('summary').click();
  for (const [field, value] of Object.entries(fields)) await form.locator(`[name=${field}]`).fill(value);
  await Promise.all([page.waitForEvent('framenavigated'), form.locator('button.button').click()]);
  await page.waitForLoadState();
}

for (const javaScriptEnabled of [true, false]) {
  test(`an administrator finds somebody and requires a new password, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
    const context = await browser.newContext({ javaScriptEnabled, locale: 'en-GB' });
    const page = await context.newPage();
    await page.goto(`${demo.url}/console/users`);
    assert.equal(new URL(page.url()).pathname, '/auth/login', 'whoever has not signed in does so first');
    await fillIn(page, ADMIN, demo.passwords[ADMIN]);
    assert.equal(new URL(page.url()).pathname, '/console/users');
    assert.equal(await page.locator('.rows > li').count(), 3);
    await page.locator('input[name=query]').fill('RUN');
    await page.locator('form[role=search] button').click();
    await page.waitForURL(/query=RUN/);
    await page.getByRole('link', { name: 'Bruno' }).click();
    await page.getByText(BRUNO).first().waitFor();
    await act(page, 'require-reset', { reason: 'He fell for a letter' });
    assert.ok(await page.getByRole('status').isVisible());
    assert.ok(await page.getByText('New password needed').isVisible());
    assert.ok(await page.getByText('identity.password.reset_required').isVisible());

    // He is told at the door, and the link in his mailbox is the way in.
    const his = await (await browser.newContext({ javaScriptEnabled, locale: 'en-GB' })).newPage();
    await signIn(his, demo, BRUNO, demo.passwords[BRUNO]);
    assert.match(await his.getByRole('alert').innerText(), /Choose a new password first/);
    await his.goto(linkIn(await mailTo(demo, BRUNO), '/auth/reset-password'));
    await his.locator('input[name=password]').fill(PASSWORD);
    await his.locator('form[action="/auth/reset-password"] button.button').last().click();
    await his.waitForURL(/done=reset/);
    await fillIn(his, BRUNO, PASSWORD);
    assert.equal(new URL(his.url()).pathname, '/auth/account');
    await his.context().close();
    await context.close();
  });
}

test('whoever has no post is refused, and the last administrator stays', async () => {
  const context = await browser.newContext({ locale: 'en-GB' });
  const page = await context.newPage();
  await signIn(page, demo, BRUNO, demo.passwords[BRUNO]);
  assert.equal((await page.goto(`${demo.url}/console/users`)).status(), 403);
  await context.clearCookies();
  await page.goto(`${demo.url}/console`);
  await fillIn(page, ADMIN, demo.passwords[ADMIN]);
  await page.getByRole('link', { name: 'Ada' }).click();
  await page.locator('#section-acts').waitFor();
  await act(page, 'disable');
  assert.match(await page.getByRole('alert').innerText(), /only administrator/);
  await act(page, 'role', { role: 'owner' });
  assert.match(await page.getByRole('alert').innerText(), /above your own role/);
  await context.close();
});

for (const colorScheme of ['light', 'dark']) {
  test(`the pages are for everybody, and no wider than a small phone, ${colorScheme}`, async () => {
    const context = await browser.newContext({ colorScheme, bypassCSP: true, viewport: { width: 320, height: 640 } });
    const page = await context.newPage();
    await page.goto(`${demo.url}/console/users`);
    await fillIn(page, ADMIN, demo.passwords[ADMIN]);
    for (const step of ['the list', 'an account']) {
      if (step === 'an account') {
        await page.getByRole('link', { name: 'Bruno' }).click();
        await page.locator('#section-acts').waitFor();
        for (const summary of await page.locator('summary').all()) await summary.click();
      }
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 320, `${step} is too wide`);
      await page.addScriptTag({ path: AXE });
      const result = await page.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
      assert.deepEqual(result.violations.map((found) => `${step} ${found.id}: ${found.nodes.map((node) => node.target.join(' ')).join(', ')}`), []);
    }
    await context.close();
  });
}
