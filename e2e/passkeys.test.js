// Passkeys with Chromium's virtual authenticator: set up, used after a password and instead of one, offered by the browser.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fillIn, launchBrowser, startDemo } from './demo.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

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

/** A page with a device that recognises its owner. */
async function pageWithDevice(context) {
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('WebAuthn.enable', { enableUI: false });
  const options = { protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options });
  return { page, cdp, authenticatorId };
}

async function press(page, selector) {
  await Promise.all([page.waitForEvent('framenavigated'), page.locator(selector).last().click()]);
  await page.waitForLoadState();
}

async function signOut(page) {
  await page.goto(`${demo.url}/auth/account`);
  await press(page, 'form[action="/auth/logout"] button.button');
}

async function setUp(page, email) {
  await page.goto(`${demo.url}/auth/login`);
  await fillIn(page, email, demo.passwords[email]);
  await page.goto(`${demo.url}/auth/account/factors/passkeys/new`);
  await page.locator('input[name=name]').fill('My laptop');
  await press(page, 'form[data-passkey] button.button');
  assert.equal((await page.locator('.codes code').allInnerTexts()).length, 10);
  await page.goto(`${demo.url}/auth/account/factors`);
  assert.ok(await page.getByText('My laptop').isVisible());
}

test('a passkey signs in without a password, answers after one, and is gone when removed', async () => {
  const context = await browser.newContext({ locale: 'en-GB' });
  const { page, cdp, authenticatorId } = await pageWithDevice(context);
  const email = 'ana@example.com';
  await setUp(page, email);
  const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId });
  assert.equal(credentials.length, 1);
  assert.equal(credentials[0].rpId, 'localhost');
  assert.equal(credentials[0].isResidentCredential, true);

  // Where the address is typed the browser offers it by itself: nothing has to be pressed.
  await signOut(page);
  await page.goto(`${demo.url}/orders`);
  await page.waitForURL(`${demo.url}/orders`);

  // After the password it answers the second question.
  await signOut(page);
  await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: false });
  await page.goto(`${demo.url}/auth/login?return_to=%2Forders`);
  await fillIn(page, email, demo.passwords[email]);
  assert.equal(new URL(page.url()).pathname, '/auth/login/step');
  await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: true });
  await press(page, 'form[data-passkey] button.button');
  assert.equal(new URL(page.url()).pathname, '/orders');

  // Renamed, and removed with the password.
  await page.goto(`${demo.url}/auth/account/factors`);
  await page.getByText('Rename').click();
  await page.locator('form[action$="/rename"] input[name=name]').fill('Old laptop');
  await press(page, 'form[action$="/rename"] button');
  await page.getByRole('link', { name: 'Remove Old laptop' }).click();
  await page.locator('input[name=password]').fill(demo.passwords[email]);
  await press(page, 'form[action$="/passkeys/remove"] button.button');
  assert.equal(await page.getByText('Old laptop').count(), 0);
  await context.close();
});

test('a device that does not recognise its owner does not sign in', async () => {
  const context = await browser.newContext({ locale: 'en-GB' });
  const { page, cdp, authenticatorId } = await pageWithDevice(context);
  await setUp(page, 'bruno@example.com');
  await signOut(page);
  await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: false });
  await page.goto(`${demo.url}/auth/login`);
  await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: true });
  await page.locator('form[data-passkey] button.button').click();
  await page.locator('[data-failed]:not([hidden])').waitFor();
  assert.equal(new URL(page.url()).pathname, '/auth/login');
  await context.close();
});

test('without JavaScript the pages say why passkeys cannot be used', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, locale: 'en-GB' });
  const page = await context.newPage();
  await page.goto(`${demo.url}/auth/login`);
  assert.ok(await page.getByText('Passkeys need JavaScript').isVisible());
  assert.equal(await page.locator('form[data-passkey]').isVisible(), false);
  await fillIn(page, 'ana@example.com', demo.passwords['ana@example.com']);
  await page.goto(`${demo.url}/auth/account/factors/passkeys/new`);
  assert.ok(await page.getByText('Passkeys need JavaScript').isVisible());
  await context.close();
});

test('the pages about second factors have no accessibility violation, in each language', async () => {
  const found = [];
  const context = await browser.newContext({ locale: 'en-GB', bypassCSP: true });
  const page = await context.newPage();
  const look = async (name) => {
    await page.addScriptTag({ path: AXE });
    const result = await page.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    found.push(...result.violations.map((violation) => `${name} ${violation.id}: ${violation.help} (${violation.nodes.map((node) => node.target.join(' ')).join(', ')})`));
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (width > page.viewportSize().width) found.push(`${name} is ${width} pixels wide`);
  };
  await page.setViewportSize({ width: 360, height: 640 });
  const email = 'ana@example.com';
  await page.goto(`${demo.url}/auth/login`);
  await fillIn(page, email, demo.passwords[email]);
  for (const path of ['', '/totp', '/sms', '/passkeys/new', '/remove?kind=totp', '/recovery', '/passkeys/remove?id=x']) {
    await page.goto(`${demo.url}/auth/account/factors${path}`);
    await look(`factors${path}`);
  }
  // The account itself speaks the language of its owner's cookie.
  for (const lang of ['es', 'pt']) {
    await page.goto(`${demo.url}/auth/account/factors`);
    await press(page, `form.languages button[value="${lang}"]`);
    await look(`factors in ${lang}`);
    if (process.env.BALUARTE_SCREENSHOTS) await page.screenshot({ path: `${process.env.BALUARTE_SCREENSHOTS}/factors-${lang}.png`, fullPage: true });
    await page.goto(`${demo.url}/auth/account/factors/passkeys/new`);
    await look(`a new passkey in ${lang}`);
    if (process.env.BALUARTE_SCREENSHOTS) await page.screenshot({ path: `${process.env.BALUARTE_SCREENSHOTS}/passkey-${lang}.png`, fullPage: true });
  }
  assert.deepEqual(found, []);
  await context.close();
});
