// How good a new password seems, while it is typed; without JavaScript the rule stands there anyway.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launchBrowser, startDemo } from './demo.js';

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

test('a password is judged while it is typed, without leaving the page', async () => {
  const context = await browser.newContext({ locale: 'en-GB' });
  const page = await context.newPage();
  await page.goto(`${demo.url}/auth/register`);
  await page.locator('input[name=email]').fill('rosalinda@example.com');
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  const hint = page.locator('.strength');
  const judged = async (text) => {
    await page.locator('input[name=password]').fill(text);
    return hint.getAttribute('data-strength');
  };
  assert.ok(!(await hint.isVisible()));
  assert.equal(await judged('abc'), 'short');
  assert.equal(await hint.innerText(), 'Too short: 5 more to go.');
  for (const weak of ['aaaaaaaaaaaa', 'abcdefgh1234', 'rosalinda2026', 'abababababab']) assert.equal(await judged(weak), 'weak', weak);
  assert.equal(await judged('kd7fh2xqw'), 'fair');
  assert.equal(await judged('correct horse battery staple'), 'good');
  assert.equal(await judged(''), '');
  assert.ok(!(await hint.isVisible()));
  assert.deepEqual(asked, [], 'nothing is sent while somebody types');
  await context.close();
});

test('what attackers try first is refused whatever the hint says, and the rule stands there without JavaScript', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, locale: 'en-GB' });
  const page = await context.newPage();
  await page.goto(`${demo.url}/auth/register`);
  await page.getByText('At least 8 characters.').first().waitFor();
  assert.equal(await page.locator('.strength').count(), 0);
  await page.locator('input[name=name]').fill('Rosalinda');
  await page.locator('input[name=email]').fill('rosalinda@example.com');
  for (const refused of ['password123', 'rosalinda2026', 'princess1']) {
    await page.locator('input[name=password]').fill(refused);
    await Promise.all([page.waitForEvent('framenavigated'), page.locator('form[action="/auth/register"] button.button').click()]);
    await page.locator('#password-error').waitFor();
  }
  await context.close();
});
