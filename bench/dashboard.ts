/**
 * What a dashboard costs a run, and how soon its page shows what happens.
 *
 *   npm run bench -- dashboard             five runs each of steps per second
 *   npm run bench -- dashboard 9           nine runs each
 *
 * The page is in a real Chromium. Throughput is compared without a browser, whose work would be on
 * this machine's processors: a program reads the events instead.
 */
import { request } from 'node:http';
import { describeEvent } from '../src/cli/dashboard/describe-event.ts';
import { RunFeed } from '../src/dashboard/run-feed.ts';
import { RunLibrary } from '../src/dashboard/run-library.ts';
import { openDashboard } from '../src/dashboard/server.ts';
import { type BrowserPage, openBrowser } from '../test/browser.ts';
import { Ending } from '../test/cluster/owner.ts';
import { startLockstep, temporaryFolder } from '../test/cluster/processes.ts';
import { joined, stepOf } from '../test/dashboard-events.ts';
import { median } from './lib/median.ts';
import { machine } from './lib/processes.ts';

const RUN = ['train', '--workers', '2', '--dataset', 'mnist', '--steps', '1200', '--json'];
const HOUR_STEPS = 36_000;
const LATENCIES = 30;

/** Milliseconds of this process that an event costs. */
function costOfEvent(): number {
  const feed = new RunFeed('a', describeEvent);
  for (let step = 1; step <= 2_000; step++) feed.onEvent(stepOf(step));
  const began = process.cpuUsage();
  for (let step = 2_001; step <= 22_000; step++) feed.onEvent(stepOf(step));
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1000 / 20_000;
}

/** Samples per second of a run, as its summary says. */
async function speedOf(flags: readonly string[], isRead: boolean): Promise<number> {
  const owner = new Ending();
  try {
    const folder = temporaryFolder(owner);
    const environment = { LOCKSTEP_HOME: temporaryFolder(owner) };
    const args = [...RUN, '--eval-every', 'never', '--out-dir', folder, ...flags];
    const run = startLockstep(owner, args, undefined, environment);
    if (isRead) {
      const [, link = ''] = await run.saying(/(http:\/\/127\S+)/);
      await readEvents(link);
    }
    await run.end();
    return (JSON.parse(run.stdout) as { samplesPerSecond: number }).samplesPerSecond;
  } finally {
    await owner.end();
  }
}

/** Comes in with a link, and reads what is told of the run until it is over. */
async function readEvents(link: string): Promise<void> {
  const { port, origin, hash } = new URL(link);
  const body = hash.replace('#key=', '');
  const entered = await fetch(`${origin}/api/session`, {
    method: 'POST',
    body,
    headers: { origin },
  });
  const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? '';
  const session = await fetch(`${origin}/api/session`, { headers: { cookie } });
  const { first } = (await session.json()) as { first: string };
  const path = `/api/runs/${encodeURIComponent(first)}/events`;
  request({ host: '127.0.0.1', port, path, headers: { cookie } }, (response) => {
    response.resume();
  })
    .on('error', () => {})
    .end();
}

/** How soon the page shows what happens, and how often it draws after an hour of steps. */
async function measurePage(): Promise<void> {
  const owner = new Ending();
  try {
    const feed = new RunFeed('a', describeEvent);
    const library = new RunLibrary(temporaryFolder(owner), describeEvent, { name: 'a', feed });
    let link = '';
    const about = { library, first: 'a', port: 0, flag: '', userKey: undefined };
    const dashboard = await openDashboard({ ...about, onLink: (one) => (link = one) });
    owner.after(() => dashboard.close());
    for (const rank of [0, 1, 2]) feed.onEvent(joined(rank));
    feed.onEvent(stepOf(1));
    const page = await openBrowser(owner);
    await page.show(1280, 900, 'light');
    const beganMs = performance.now();
    await page.open(link);
    await page.until('the page', `document.querySelector('h1')`);
    const visibleMs = performance.now() - beganMs;
    await page.until('data', `document.querySelectorAll('.worker').length === 3`);
    const dataMs = performance.now() - beganMs;
    console.log(
      `page visible after ${visibleMs.toFixed(0)} ms, data after ${dataMs.toFixed(0)} ms`,
    );
    const latencies = await latenciesOf(page, feed);
    console.log(
      `from commit to pixel ${median(latencies).toFixed(0)} ms in the median, ` +
        `${Math.max(...latencies).toFixed(0)} ms at most, of ${latencies.length}`,
    );
    for (let step = 100; step < 100 + HOUR_STEPS; step++) feed.onEvent(stepOf(step));
    await page.open('about:blank');
    await page.open(link.replace(/#.*/, ''));
    await page.until(
      'the last step',
      `document.body?.innerText.includes('step ${(99 + HOUR_STEPS).toLocaleString('en')}')`,
    );
    const frames = await framesPerSecond(page, feed);
    const heap = await page.evaluate<number>('performance.memory.usedJSHeapSize');
    console.log(
      `after ${HOUR_STEPS} steps: ${frames.toFixed(0)} frames/s while steps come, ` +
        `${(heap / 1e6).toFixed(1)} MB of heap, a view of ` +
        `${(JSON.stringify(feed.view).length / 1e3).toFixed(0)} kB`,
    );
  } finally {
    await owner.end();
  }
}

/** From the moment that an event is told until a frame has it. */
async function latenciesOf(page: BrowserPage, feed: RunFeed): Promise<number[]> {
  const latencies = [];
  for (let step = 2; step < 2 + LATENCIES; step++) {
    const shown = page.evaluate(`new Promise((done) => {
      const look = () => document.body.innerText.includes('step ${step}')
        ? requestAnimationFrame(() => done(1)) : requestAnimationFrame(look);
      look();
    })`);
    await new Promise((later) => setTimeout(later, 150));
    const beganMs = performance.now();
    feed.onEvent(stepOf(step));
    await shown;
    latencies.push(performance.now() - beganMs);
  }
  return latencies;
}

/** Frames in a second in which twenty steps come. */
async function framesPerSecond(page: BrowserPage, feed: RunFeed): Promise<number> {
  let step = 100 + HOUR_STEPS;
  const timer = setInterval(() => feed.onEvent(stepOf(step++)), 50);
  try {
    return await page.evaluate<number>(`new Promise((done) => {
      const began = performance.now();
      let count = 0;
      const next = (now) => {
        count++;
        if (now - began > 3000) done(count / (now - began) * 1000);
        else requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
    })`);
  } finally {
    clearInterval(timer);
  }
}

async function main(rounds: number): Promise<void> {
  console.log(machine());
  console.log(`an event costs ${(costOfEvent() * 1000).toFixed(1)} us, with nobody looking`);
  await measurePage();
  const speeds: Record<'without' | 'with', number[]> = { without: [], with: [] };
  for (let round = 0; round < rounds; round++) {
    speeds.without.push(await speedOf([], false));
    speeds.with.push(await speedOf(['--dashboard', '0'], true));
  }
  const [without, withOne] = [median(speeds.without), median(speeds.with)];
  console.log(
    `${without.toFixed(0)} samples/s without a dashboard, ${withOne.toFixed(0)} with one that is ` +
      `read: ${(100 * (withOne / without - 1)).toFixed(1)} % (medians of ${rounds})`,
  );
  console.log(`without ${speeds.without.map(Math.round).join(' ')}`);
  console.log(`with    ${speeds.with.map(Math.round).join(' ')}`);
}

const [rounds = '5'] = process.argv.slice(2);
await main(Number(rounds));
