// The main job, as a person meets it: sign up, read the mail, come in, shop, be refused, look after one's devices, leave.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { PASSWORD, fillIn, launchBrowser, linkIn, mailTo, signIn, startDemo } from './demo.js';

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
afterEach(async () => {
  assert.equal(await demo?.stop(), 0, 'the demo ends well');
});

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with JavaScript' : 'without JavaScript';

  test(`a new customer signs up, proves the address, shops and signs out, ${how}`, async () => {
    const context = await browser.newContext({ javaScriptEnabled, locale: 'en-GB' });
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    const email = `nora-${javaScriptEnabled ? 'js' : 'plain'}@example.net`;

    // From the shop to the form.
    await page.goto(`${demo.url}/`);
    await page.getByRole('link', { name: 'Create an account' }).click();
    await page.locator('input[name=name]').fill('Nora');
    await page.locator('input[name=email]').fill(email);
    await page.locator('input[name=password]').fill(PASSWORD);
    await page.locator('form[action="/auth/register"] button.button').last().click();
    await page.waitForURL('**/auth/check-mail*');

    // The mail that would have been sent proves the address.
    await page.goto(linkIn(await mailTo(demo, email), '/auth/verify-email'));
    await page.locator('form[action="/auth/verify-email"] button').click();
    await page.waitForLoadState();

    // Where one was is where one comes back to.
    await page.goto(`${demo.url}/orders`);
    assert.equal(new URL(page.url()).pathname, '/auth/login');
    await fillIn(page, email, PASSWORD);
    assert.equal(new URL(page.url()).pathname, '/orders');

    // Calling the shop through the gateway.
    await page.goto(`${demo.url}/`);
    assert.ok(await page.getByText(email).isVisible(), 'the shop knows who is calling');
    await page.getByRole('button', { name: 'Add Kite to basket' }).click();
    await page.getByRole('button', { name: /Order for €31\.50/ }).click();
    await page.waitForLoadState();
    assert.match(await (await page.goto(`${demo.url}/orders`)).text(), /<td>[^<]*nora[^<]*<\/td>/);

    // Refused where role or plan says so, with a page that says why.
    for (const path of ['/admin', '/reports']) {
      const refused = await page.goto(`${demo.url}${path}`);
      assert.equal(refused.status(), 403, path);
      assert.ok(await page.locator('h1').isVisible(), `${path} explains itself`);
    }

    // This device is on the list.
    await page.goto(`${demo.url}/auth/account`);
    await page.getByText('This device').waitFor();

    // Out, and what was open is closed.
    await page.locator('form[action="/auth/logout"] button').first().click();
    await page.waitForLoadState();
    await page.goto(`${demo.url}/orders`);
    assert.equal(new URL(page.url()).pathname, '/auth/login');
    // The two refusals are in the console as failed loads; nothing else may be.
    assert.deepEqual(complaints.filter((text) => !text.includes('403')), []);
    await context.close();
  });
}

test('a wrong password is refused in words, and the page says no more than that', async () => {
  const page = await browser.newPage();
  const words = [];
  for (const email of ['ana@example.com', 'nobody@example.com']) {
    await signIn(page, demo, email, 'not the password of anybody');
    assert.equal(new URL(page.url()).pathname, '/auth/login');
    words.push(await page.getByRole('alert').innerText());
  }
  assert.equal(words[0], words[1]);
  await page.close();
});

test('ending another device signs it out at once', async () => {
  const [laptop, phone] = await Promise.all([browser.newContext(), browser.newContext()]);
  const [here, there] = [await laptop.newPage(), await phone.newPage()];
  await signIn(here, demo, 'ana@example.com', demo.passwords['ana@example.com']);
  await signIn(there, demo, 'ana@example.com', demo.passwords['ana@example.com']);
  assert.equal((await there.goto(`${demo.url}/orders`)).status(), 200);

  await here.goto(`${demo.url}/auth/account`);
  await here.locator('form[action="/auth/account/sessions/end"] button').first().click();
  await here.waitForLoadState();
  await there.goto(`${demo.url}/orders`);
  assert.equal(new URL(there.url()).pathname, '/auth/login');
  await Promise.all([laptop.close(), phone.close()]);
});

test('an administrator sees what others are refused', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await signIn(page, demo, 'admin@example.com', demo.passwords['admin@example.com']);
  assert.equal((await page.goto(`${demo.url}/admin`)).status(), 200);
  await context.close();
});

test('a forgotten password is replaced by way of the mail', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${demo.url}/auth/forgot-password`);
  await page.locator('input[name=email]').fill('bruno@example.com');
  await page.locator('form button.button').last().click();
  await page.waitForLoadState();
  await page.goto(linkIn(await mailTo(demo, 'bruno@example.com'), '/auth/reset-password'));
  await page.locator('input[name=password]').fill(`${PASSWORD} new`);
  await page.locator('form[action="/auth/reset-password"] button.button').last().click();
  await page.waitForLoadState();
  await signIn(page, demo, 'bruno@example.com', `${PASSWORD} new`);
  assert.equal((await page.goto(`${demo.url}/orders`)).status(), 200);
  await context.close();
});
