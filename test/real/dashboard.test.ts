/** The dashboard in a browser: of a run whose worker is killed, and of one with hostile names. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { describeEvent } from '../../src/cli/dashboard/describe-event.ts';
import { RunFeed } from '../../src/dashboard/run-feed.ts';
import { RunLibrary } from '../../src/dashboard/run-library.ts';
import { openDashboard } from '../../src/dashboard/server.ts';
import { type BrowserPage, NO_BROWSER, openBrowser } from '../browser.ts';
import { startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { joined, stepOf } from '../dashboard-events.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What a page must not show as anything but letters. */
const HOSTILE = [
  `<script>document.title='owned'</script>`,
  `"><img src=x onerror="document.title='owned'">`,
  `javascript:document.title='owned'//`,
  `{{constructor.constructor('document.title="owned"')()}}`,
  `</title><svg onload=document.title='owned'>`,
  `\u202Egnp.exe\u0000\u001b[31m`,
];

/** Goes to a tab of the page. */
async function openTab(page: BrowserPage, name: string): Promise<void> {
  await page.evaluate(
    `[...document.querySelectorAll('nav a')].find((a) => a.textContent === '${name}').click()`,
  );
  await page.until(name, `document.querySelector('nav a[aria-current]').textContent === '${name}'`);
}

/** What axe finds wrong with every tab, on a light and on a dark ground, wide and narrow. */
async function violationsOf(page: BrowserPage, tabs: readonly string[]): Promise<string[]> {
  await page.evaluate(`${AXE}; undefined`);
  const found: string[] = [];
  for (const tab of tabs)
    for (const [width, scheme] of [
      [1280, 'light'],
      [390, 'dark'],
    ] as const) {
      await page.show(width, 900, scheme);
      await openTab(page, tab);
      const violations = await page.evaluate<string[]>(
        `axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>
          id + ' ' + nodes.map(({ html, failureSummary }) => html + failureSummary).join()))`,
      );
      found.push(...violations.map((text) => `${tab} ${scheme}: ${text}`));
    }
  return found;
}

/** A way to a port of this machine that can be cut. */
async function openWire(t: TestContext, port: number) {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect({ host: '127.0.0.1', port });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {}).on('close', () => other.destroy());
      one.pipe(other);
    }
  });
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    cut();
    server.close();
  });
  const mend = (): void => void (isCut = false);
  return { port: (server.address() as AddressInfo).port, cut, mend };
}

function originsOf({ requests }: BrowserPage): string[] {
  const addresses = requests.filter((address) => !/^(data|about|blob):/.test(address));
  return [...new Set(addresses.map((address) => new URL(address).origin))];
}

describe('train --dashboard', { skip: NO_BROWSER }, () => {
  test('shows that a worker is killed and who does its work, and asks nobody else', async (t) => {
    const run = startLockstep(
      t,
      [
        ...[
          'train',
          '--dashboard',
          '0',
          '--workers',
          '3',
          '--dataset',
          'digits',
          '--epochs',
          '500',
        ],
        ...['--throttle', '30,30,30', '--out-dir', temporaryFolder(t), '--global-batch', '384'],
        ...['--micro-batch', '16', '--eval-every', '50', '--name', 'watched'],
      ],
      undefined,
      { LOCKSTEP_HOME: temporaryFolder(t) },
    );
    const [, link = ''] = await run.saying(/(http:\/\/127\S+)/);
    const page = await openBrowser(t);
    await page.open(link);
    await page.until(
      'three workers',
      `document.querySelector('.answers dd')?.textContent.startsWith('Training with 3 workers')`,
    );
    const [, killed = ''] = await run.saying(/rank 2 joined .* process (\d+)/);

    process.kill(Number(killed), 'SIGKILL');

    await page.until('a red worker', `document.querySelector('.worker.bad')`);
    const card = await page.evaluate<string>(`document.querySelector('.worker.bad').innerText`);
    assert.match(card, /Rank 2\s+lost/);
    const marks = `document.querySelector('.marks')?.innerText ?? ''`;
    await page.until(
      'its work with others',
      `/rank 2: \\d+ micro-batch.* to others/.test(${marks})`,
    );
    await page.until('its return', `/rank 2: joined/.test(${marks}.split('others').at(-1))`);
    const tabs = ['Overview', 'Cluster', 'Training', 'Timeline', 'Events', 'Logs', 'Runs'];
    assert.deepEqual(await violationsOf(page, tabs), []);
    run.signal('SIGINT');
    assert.equal((await run.end()).status, 130);
    await page.until('its end', `document.body.innerText.includes('the run is over')`);
    assert.deepEqual(page.complaints, []);
    assert.deepEqual(originsOf(page), [new URL(link).origin]);
  });
});

describe('the page', { skip: NO_BROWSER }, () => {
  /** A page of a run under way, with what it is told of. */
  async function pageOf(t: TestContext, name: string) {
    const feed = new RunFeed(name, describeEvent);
    const library = new RunLibrary(temporaryFolder(t), describeEvent, { name, feed });
    const about = { library, first: name, port: 0, flag: '', userKey: undefined };
    let link = '';
    const dashboard = await openDashboard({ ...about, onLink: (one) => (link = one) });
    t.after(() => dashboard.close());
    const wire = await openWire(t, dashboard.port);
    const page = await openBrowser(t);
    await page.open(link.replace(`:${dashboard.port}/`, `:${wire.port}/`));
    await page.until('the run', `document.querySelector('h1')`);
    return { feed, page, ...wire };
  }

  test('shows hostile names as letters', async (t) => {
    const { feed, page } = await pageOf(t, HOSTILE.join(''));
    for (const [rank, text] of HOSTILE.entries()) {
      feed.onEvent(joined(rank, { host: text, workerId: text, device: text }));
      feed.onEvent({ kind: 'worker-lost', rank, workerId: text, step: 1, reason: text });
      feed.onEvent({ kind: 'worker-refused', peer: text, reason: text });
    }
    feed.onEvent(stepOf(1));
    await page.until(
      'workers',
      `document.querySelectorAll('.worker').length === ${HOSTILE.length}`,
    );

    for (const tab of ['Overview', 'Cluster', 'Timeline', 'Events', 'Logs', 'Runs'])
      await openTab(page, tab);
    await openTab(page, 'Overview');

    const title = await page.evaluate<string>('document.title');
    const foreign = await page.evaluate<number>(
      `document.body.querySelectorAll('script, img, svg, iframe, [onerror], [onload]').length`,
    );
    assert.notEqual(title, 'owned');
    assert.equal(foreign, 0);
    assert.match(await page.evaluate<string>('document.body.innerText'), /<script>document/);
    assert.deepEqual(page.complaints, []);
  });

  test('gets what it missed while it was without a network', async (t) => {
    const { feed, page, cut, mend } = await pageOf(t, 'a');
    feed.onEvent(stepOf(1));
    await page.until('a step', `document.body.innerText.includes('step 1')`);
    assert.deepEqual(page.complaints, []);

    cut();
    await page.until('a loss', `document.body.innerText.includes('connection lost')`);
    for (let step = 2; step <= 40; step++) feed.onEvent(stepOf(step));
    mend();

    await page.until('the last step', `document.body.innerText.includes('step 40')`);
    await openTab(page, 'Timeline');
    await page.until('all steps', `document.body.innerText.includes('steps 21 to 40')`);
  });
});
