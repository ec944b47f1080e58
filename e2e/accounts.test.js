// What people do with their account through their mailbox: another address, signing in with a link, accepting an invitation.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { PASSWORD, fillIn, launchBrowser, linkIn, mailTo, press, signIn, startDemo } from './demo.js';

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

for (const javaScriptEnabled of [true, false]) {
  test(`a link from the mailbox signs in the browser that asked, ${javaScriptEnabled ? 'and another one is told where to go' : 'without JavaScript'}`, async () => {
    const context = await browser.newContext({ javaScriptEnabled, locale: 'en-GB' });
    const page = await context.newPage();
    const email = 'ana@example.com';
    await page.goto(`${demo.url}/orders`);
    await page.getByRole('link', { name: 'Send me a link instead' }).click();
    await page.locator('input[name=email]').fill(email);
    await press(page, '/auth/magic-link');
    assert.ok(await page.getByText('a link to sign in is on its way').isVisible());
    const mail = await mailTo(demo, email);
    const link = linkIn(mail, '/auth/magic-link');

    const elsewhere = await (await browser.newContext({ javaScriptEnabled, locale: 'en-GB' })).newPage();
    await elsewhere.goto(link);
    assert.ok(await elsewhere.getByText('Go back to where you asked for the link').isVisible());
    await elsewhere.context().close();

    if (javaScriptEnabled) {
      await page.locator('input[name=code]').fill('00000000');
      await press(page, '/auth/magic-link/code');
      assert.ok(await page.getByText('That is not the code').isVisible());
      await page.locator('input[name=code]').fill(mail.text.match(/\b\d{8}\b/)[0]);
      await press(page, '/auth/magic-link/code');
    } else {
      await page.goto(link);
      await press(page, '/auth/magic-link/confirm');
    }
    assert.equal(new URL(page.url()).pathname, '/orders', 'where one wanted to go');
    await page.goto(link);
    assert.ok(await page.getByText('This link does not work any more').isVisible());
    await context.close();
  });
}

test('an administrator invites somebody, who chooses name and password and is in', async () => {
  const context = await browser.newContext({ locale: 'en-GB' });
  const page = await context.newPage();
  const admin = Object.keys(demo.passwords).find((email) => email.startsWith('admin') || email.startsWith('root'));
  const signedIn = await fetch(`${demo.url}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: admin, password: demo.passwords[admin] }),
  });
  const { access_token: token } = await signedIn.json();
  const invited = await fetch(`${demo.url}/api/v1/admin/invitations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ email: 'guest@elsewhere.example' }),
  });
  assert.equal(invited.status, 201);
  await page.goto(linkIn(await mailTo(demo, 'guest@elsewhere.example'), '/auth/invitation'));
  assert.ok(await page.getByText('guest@elsewhere.example').isVisible());
  await page.locator('input[name=name]').fill('Guest');
  await page.locator('input[name=password]').fill(PASSWORD);
  await press(page, '/auth/invitation');
  assert.equal(new URL(page.url()).pathname, '/auth/account');
  await context.close();
});
