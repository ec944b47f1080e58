// Every page for everybody: three languages, a phone, the keyboard, a screen reader, dark rooms.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launchBrowser, linkIn, mailTo, signIn, startDemo } from './demo.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const OPEN = ['/', '/auth/login', '/auth/register', '/auth/forgot-password', '/auth/reset-password?token=dead', '/auth/verify-email?token=dead', '/auth/account/email/confirm?token=dead', '/auth/magic-link', '/auth/magic-link/sent', '/auth/magic-link?token=dead', '/auth/invitation?token=dead', '/auth/check-mail?for=verify', '/auth/nowhere', '/problems/', '/dev/outbox'];
const SIGNED_IN = ['/auth/account', '/auth/account/api-keys', '/auth/account/api-keys/new', '/auth/account/delete', '/auth/account/email', '/admin', '/'];
const PHONE = { width: 320, height: 640 };

let demo;
let browser;

before(async () => {
  browser = await launchBrowser();
});
after(() => browser?.close());
// A demo for each test: its limits on signing in are the real ones.
beforeEach(async () => {
  demo = await startDemo();
});
afterEach(() => demo?.stop());

/** Violations of WCAG 2.2 A and AA, one line each. */
async function violations(page) {
  // The pages' own policy forbids injected scripts, as it should; the checker comes in past it.
  await page.addScriptTag({ path: AXE });
  const result = await page.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  return result.violations.map((found) => `${found.id}: ${found.help} (${found.nodes.map((node) => node.target.join(' ')).join(', ')})`);
}

/** The page of a link that works, as it stands in the mail. */
async function resetPage(demo) {
  const headers = { 'content-type': 'application/json' };
  await fetch(`${demo.url}/auth/forgot-password`, { method: 'POST', headers, body: '{"email":"bruno@example.com"}' });
  const link = new URL(linkIn(await mailTo(demo, 'bruno@example.com'), '/auth/reset-password'));
  return link.pathname + link.search;
}

for (const colorScheme of ['light', 'dark']) {
  test(`no page has an accessibility violation, ${colorScheme}`, async () => {
    const context = await browser.newContext({ colorScheme, bypassCSP: true });
    const page = await context.newPage();
    const found = [];
    const look = async (path) => {
      await page.goto(`${demo.url}${path}`);
      found.push(...(await violations(page)).map((violation) => `${path} ${violation}`));
    };
    for (const path of [...OPEN, await resetPage(demo)]) await look(path);
    await signIn(page, demo, 'ana@example.com', demo.passwords['ana@example.com']);
    for (const path of SIGNED_IN) await look(path);
    assert.deepEqual(found, []);
    await context.close();
  });
}

test('no page is wider than a small phone', async () => {
  const context = await browser.newContext({ viewport: PHONE });
  const page = await context.newPage();
  const wide = [];
  const look = async (path) => {
    await page.goto(`${demo.url}${path}`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (width > PHONE.width) wide.push(`${path}: ${width} pixels`);
  };
  for (const path of [...OPEN, await resetPage(demo)]) await look(path);
  await signIn(page, demo, 'ana@example.com', demo.passwords['ana@example.com']);
  for (const path of SIGNED_IN) await look(path);
  assert.deepEqual(wide, []);
  await context.close();
});

test('the browser chooses the language, and the switch overrules it', async () => {
  const heading = async (page) => {
    await page.goto(`${demo.url}/auth/login`);
    return [await page.locator('html').getAttribute('lang'), await page.locator('h1').innerText()];
  };
  const words = new Set();
  for (const locale of ['en-US', 'es-MX', 'pt-BR']) {
    const context = await browser.newContext({ locale });
    const [lang, title] = await heading(await context.newPage());
    assert.equal(lang.slice(0, 2), locale.slice(0, 2));
    words.add(title);
    await context.close();
  }
  assert.equal(words.size, 3, 'three languages, three headings');

  const context = await browser.newContext({ locale: 'en-US' });
  const page = await context.newPage();
  await page.goto(`${demo.url}/auth/login`);
  await page.locator('form.languages button[lang^=pt]').click();
  await page.waitForLoadState();
  assert.equal(new URL(page.url()).pathname, '/auth/login');
  assert.match((await heading(page))[0], /^pt/);
  await context.close();
});

test('one can sign in with the keyboard alone', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${demo.url}/auth/login`);
  const reach = async (name) => {
    for (let tab = 0; tab < 30; tab += 1) {
      if ((await page.evaluate(() => document.activeElement?.getAttribute('name'))) === name) return;
      await page.keyboard.press('Tab');
    }
    assert.fail(`${name} cannot be reached with the Tab key`);
  };
  await reach('email');
  await page.keyboard.type('ana@example.com');
  await reach('password');
  await page.keyboard.type(demo.passwords['ana@example.com']);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname !== '/auth/login');
  await context.close();
});
