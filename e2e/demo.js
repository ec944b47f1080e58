// `baluarte demo` as a process, and the browser to look at it with.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const BIN = process.env.BALUARTE_BIN ?? fileURLToPath(new URL('../target/debug/baluarte', import.meta.url));
const CHROMIUM = ['/usr/bin/chromium', '/usr/local/bin/chromium'].find((file) => existsSync(file));

/** Long and unknown to any list. */
export const PASSWORD = 'correct horse battery staple 7';

/** Starts the demo and reads from what it prints where it is and who can sign in. */
export async function startDemo() {
  const port = await freePort();
  const child = spawn(BIN, ['demo', '--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve, reject) => {
    const listen = (text) => {
      said += text;
      if (said.includes('Ctrl-C')) resolve();
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.once('error', reject);
    ended.then((code) => reject(new Error(`the demo ended (${code}):\n${said}`)));
  });
  const passwords = Object.fromEntries([...said.matchAll(/(\S+@example\.com)\s+(\S+)/g)].map((match) => [match[1], match[2]]));
  return {
    url: `http://localhost:${port}`,
    passwords,
    said: () => said,
    async stop() {
      child.kill('SIGINT');
      return ended;
    },
  };
}

export function launchBrowser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** The newest message to an address, as the development outbox shows it. Notices of new browsers come in between: they are passed over. */
export async function mailTo(demo, address) {
  for (let tries = 0; tries < 300; tries += 1) {
    const answer = await fetch(`${demo.url}/dev/outbox`, { headers: { accept: 'application/json' } });
    const found = (await answer.json()).items.find((mail) => mail.to === address && !mail.text.includes('/auth/end-session?'));
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`no mail to ${address}`);
}

/** The first address in a mail that leads to this path. */
export function linkIn(mail, path) {
  const link = mail.text.match(/https?:\/\/\S+/g)?.find((url) => new URL(url).pathname === path);
  if (!link) throw new Error(`no link to ${path} in:\n${mail.text}`);
  return link;
}

export async function signIn(page, demo, email, password) {
  await page.goto(`${demo.url}/auth/login`);
  await fillIn(page, email, password);
}

/** The form of the sign-in page; returns when the next page is there. */
export async function fillIn(page, email, password) {
  await page.locator('input[name=email]').fill(email);
  await page.locator('input[name=password]').fill(password);
  await press(page, '/auth/login');
}

/** The button of a form; returns when the next page is there. */
export async function press(page, action) {
  await Promise.all([page.waitForEvent('framenavigated'), page.locator(`form[action="${action}"] button.button`).last().click()]);
  await page.waitForLoadState();
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
