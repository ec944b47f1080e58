// The second step of signing in, with and without JavaScript: set up, asked for, trusted, recovered.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fillIn, launchBrowser, mailTo, press, startDemo } from './demo.js';

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

/** What an authenticator app shows in the step of time after `steps` from now. RFC 6238. */
function code(secret, steps = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = '';
  for (const letter of secret) bits += alphabet.indexOf(letter).toString(2).padStart(5, '0');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

for (const javaScriptEnabled of [true, false]) {
  test(`an authenticator app is set up and asked for, ${javaScriptEnabled ? 'not where the device is trusted' : 'and a recovery code stands in for it without JavaScript'}`, async () => {
    const context = await browser.newContext({ javaScriptEnabled, locale: 'en-GB' });
    const page = await context.newPage();
    const [email, password] = ['ana@example.com', demo.passwords['ana@example.com']];
    await page.goto(`${demo.url}/auth/login`);
    await fillIn(page, email, password);
    await page.goto(`${demo.url}/auth/account/factors`);
    await press(page, '/auth/account/factors/totp');
    await page.getByText('Cannot scan it?').click();
    const secret = (await page.locator('code.key').innerText()).replaceAll(' ', '');
    assert.ok(await page.locator('svg.qr').isVisible());
    await page.locator('input[name=code]').fill(code(secret));
    await press(page, '/auth/account/factors/totp/confirm');
    const sheet = await page.locator('.codes code').allInnerTexts();
    assert.equal(sheet.length, 10);
    await page.getByRole('link', { name: 'I have kept them' }).click();
    await page.getByText('10 of 10 left').waitFor();

    // Out and in again: the password alone leads to the second step, and the page asked for comes after it.
    await page.goto(`${demo.url}/auth/account`);
    await press(page, '/auth/logout');
    await page.goto(`${demo.url}/orders`);
    await fillIn(page, email, password);
    assert.equal(new URL(page.url()).pathname, '/auth/login/step');
    assert.equal(await page.locator('input[name=code]').getAttribute('autocomplete'), 'one-time-code');
    await page.locator('input[name=code]').fill('000000');
    await press(page, '/auth/login/step');
    assert.ok(await page.getByText('That code is not right').isVisible());
    // The code of the next step of time: this one confirmed the app, and none is taken twice.
    await page.locator('input[name=code]').fill(code(secret, 1));
    await page.locator('input[name=trust]').check();
    await press(page, '/auth/login/step');
    assert.equal(new URL(page.url()).pathname, '/orders');

    // Three sign-ins in a row are what the demo's limit allows.
    if (javaScriptEnabled) {
      await page.goto(`${demo.url}/auth/account`);
      await press(page, '/auth/logout');
      await page.goto(`${demo.url}/orders`);
      await fillIn(page, email, password);
      assert.equal(new URL(page.url()).pathname, '/orders', 'this browser is trusted');
      await context.close();
      return;
    }
    // Another browser is not, and a code on paper opens it.
    const elsewhere = await (await browser.newContext({ javaScriptEnabled, locale: 'en-GB' })).newPage();
    await elsewhere.goto(`${demo.url}/auth/login`);
    await fillIn(elsewhere, email, password);
    await elsewhere.getByRole('link', { name: 'Use a recovery code' }).click();
    await elsewhere.locator('input[name=code]').fill(sheet[0].toLowerCase());
    await press(elsewhere, '/auth/login/step');
    assert.equal(new URL(elsewhere.url()).pathname, '/auth/account');
    await elsewhere.context().close();
    await context.close();
  });
}

test('a code by mail is sent with the password and can be sent again', async () => {
  const context = await browser.newContext({ locale: 'en-GB' });
  const page = await context.newPage();
  const [email, password] = ['bruno@example.com', demo.passwords['bruno@example.com']];
  await page.goto(`${demo.url}/auth/login`);
  await fillIn(page, email, password);
  await page.goto(`${demo.url}/auth/account/factors`);
  await press(page, '/auth/account/factors/email');
  assert.equal((await page.locator('.codes code').allInnerTexts()).length, 10);
  await page.goto(`${demo.url}/auth/account`);
  await press(page, '/auth/logout');
  await page.goto(`${demo.url}/auth/login`);
  await fillIn(page, email, password);
  assert.ok(await page.getByText('You can ask for another code in').isVisible());
  const sent = (await mailTo(demo, email)).subject.split(' ')[0];
  await page.locator('input[name=code]').fill(sent);
  await press(page, '/auth/login/step');
  assert.equal(new URL(page.url()).pathname, '/auth/account');
  await context.close();
});
