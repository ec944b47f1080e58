// What people do with their account through their mailbox: another address.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fillIn, launchBrowser, linkIn, mailTo, press, signIn, startDemo } from './demo.js';

let demo;
let browser;

before(async () => {
  browser = await launchBrowser();
});
after(() => browser?.close());
// A demo for each test: its limits are the real ones.
beforeEach(async () => {
  demo = await startDemo();
});
afterEach(async () => {
  assert.equal(await demo?.stop(), 0, 'the demo ends well');
});

const CONFIRM = '/auth/account/email/confirm';

test('an address changes when both mailboxes agree, and the shop hears the new one at once', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, locale: 'en-GB' });
  const page = await context.newPage();
  const [old, fresh] = ['ana@example.com', 'ana@elsewhere.example'];
  await signIn(page, demo, old, demo.passwords[old]);
  await page.goto(`${demo.url}/auth/account`);
  await page.getByRole('link', { name: 'Change the e-mail address' }).click();
  await page.locator('input[name=email]').fill(fresh);
  await press(page, '/auth/account/email');
  assert.ok(await page.getByText(`A change to ${fresh} waits`).isVisible());

  // The mail is read in another browser, where nobody is signed in.
  const elsewhere = await (await browser.newContext({ locale: 'en-GB' })).newPage();
  await elsewhere.goto(linkIn(await mailTo(demo, fresh), CONFIRM));
  await press(elsewhere, CONFIRM);
  assert.ok(await elsewhere.getByText('one half is done').isVisible());
  await page.goto(`${demo.url}/`);
  assert.ok(await page.getByText(old).isVisible(), 'nothing has changed yet');
  await elsewhere.goto(linkIn(await mailTo(demo, old), CONFIRM));
  await press(elsewhere, CONFIRM);
  assert.ok(await elsewhere.getByText('Your address is changed').isVisible());
  await page.goto(`${demo.url}/`);
  assert.ok(await page.getByText(fresh).isVisible(), 'the same session, the new address');

  await elsewhere.goto(`${demo.url}/auth/login`);
  await fillIn(elsewhere, fresh, demo.passwords[old]);
  assert.equal(new URL(elsewhere.url()).pathname, '/auth/account');
  await elsewhere.context().close();
  await context.close();
});

test('whoever did not ask for another address stops it and is told what to do', async () => {
  const context = await browser.newContext({ locale: 'en-GB' });
  const page = await context.newPage();
  const old = 'bruno@example.com';
  await signIn(page, demo, old, demo.passwords[old]);
  await page.goto(`${demo.url}/auth/account/email`);
  await page.locator('input[name=email]').fill('thief@elsewhere.example');
  await press(page, '/auth/account/email');
  const owner = await (await browser.newContext({ locale: 'en-GB' })).newPage();
  await owner.goto(linkIn(await mailTo(demo, old), CONFIRM));
  await press(owner, '/auth/account/email/refuse');
  assert.ok(await owner.getByRole('link', { name: 'Choose a new password' }).isVisible());
  await page.goto(`${demo.url}/auth/account`);
  assert.equal(new URL(page.url()).pathname, '/auth/login', 'the thief is out');
  await owner.context().close();
  await context.close();
});
