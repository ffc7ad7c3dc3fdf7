import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { describeEvent } from '../src/cli/dashboard/describe-event.ts';
import { RunFeed } from '../src/dashboard/run-feed.ts';
import { RunLibrary } from '../src/dashboard/run-library.ts';
import { openDashboard } from '../src/dashboard/server.ts';
import type { FeedRecord } from '../src/dashboard/view/feed-record.ts';
import type { RunView } from '../src/dashboard/view/run-view.ts';
import { lockstep } from './cluster/lockstep-command.ts';
import { temporaryFolder } from './cluster/processes.ts';
import { JOINED, joined, stepOf } from './dashboard-events.ts';
import { readPage } from './pages.ts';

const USER_KEY = 'k'.repeat(43);
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'];

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** A dashboard of a run that is under way, and of one that a folder holds. */
async function world(t: TestContext) {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'old', 'logs'), { recursive: true });
  writeFileSync(join(folder, 'secret.txt'), 'nobody may see this');
  const lines = [JOINED, stepOf(1), stepOf(2)].map((event, i) =>
    JSON.stringify({ time: new Date(1e12 + 1_000 * i).toISOString(), ...event }),
  );
  const damaged = '{"time":"2001-09-09T01:46:43.000Z","kind":"st';
  writeFileSync(join(folder, 'old', 'metrics.jsonl'), `${[...lines, damaged].join('\n')}\n`);
  writeFileSync(join(folder, 'old', 'logs', 'rank_0.log'), 'hello\n');
  writeFileSync(join(folder, 'old', 'summary.json'), '{"status":"finished","model":"mlp"}');
  const feed = new RunFeed('live', describeEvent);
  const library = new RunLibrary(folder, describeEvent, { name: 'live', feed });
  const links: string[] = [];
  const about = { library, first: 'live', port: 0, flag: '--port', userKey: USER_KEY };
  const dashboard = await openDashboard({ ...about, onLink: (link) => links.push(link) });
  t.after(() => dashboard.close());
  const { port } = dashboard;
  const ask = async (
    path: string,
    headers: Readonly<Record<string, string>> = {},
    method = 'GET',
    body = '',
  ): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
      });
      sent.once('error', reject).end(body);
    });
  const origin = `http://127.0.0.1:${port}`;
  const enter = async (key: string): Promise<Reply> => ask('/api/session', { origin }, 'POST', key);
  const keyOf = (link: string | undefined): string => link?.split('#key=')[1] ?? '';
  const cookieOf = ({ headers }: Reply): string => headers['set-cookie']?.[0]?.split(';')[0] ?? '';
  return { folder, feed, links, port, origin, ask, enter, keyOf, cookieOf, dashboard };
}

/** What a stream says until it has told of so many records, and the id of the last. */
async function listen(
  port: number,
  headers: Readonly<Record<string, string>>,
  isEnough: (told: string) => boolean,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const path = '/api/runs/live/events';
    const sent = request({ host: '127.0.0.1', port, path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (!isEnough(text)) return;
        sent.destroy();
        resolve(text);
      });
      response.on('end', () => resolve(text));
    });
    sent.once('error', reject).end();
  });
}

function idIn(told: string): string {
  return [...told.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? '';
}

function viewIn(told: string): RunView {
  const [, data = ''] = /^event: view\n.*\ndata: (.*)$/m.exec(told) ?? [];
  return (JSON.parse(data) as { view: RunView }).view;
}

function recordsIn(told: string): FeedRecord[] {
  return [...told.matchAll(/^data: (.*)$/gm)].flatMap(
    ([, data = '']) => (JSON.parse(data) as { records?: FeedRecord[] }).records ?? [],
  );
}

describe('lockstep watch', () => {
  test('tells what was recorded of a run, a line for each event, when piped', async (t) => {
    const { folder } = await world(t);

    const seen = await lockstep(t, 'watch', join(folder, 'old'));
    const newest = await lockstep(t, 'watch', folder);

    assert.equal(seen.status, 0, seen.stderr);
    assert.match(seen.stderr, /^\+ rank 0 joined at step 0: desk/);
    assert.match(seen.stderr, /\ndoing +Finished after step 2\n/);
    assert.ok(!seen.stderr.includes('\u001b'));
    assert.equal(newest.stderr, seen.stderr);
  });
});

describe('lockstep export', () => {
  test('writes a run once, and not over what is there', async (t) => {
    const { folder } = await world(t);
    const [board, wandb] = [join(folder, 'board'), join(folder, 'wandb')];
    const args = ['export', join(folder, 'old'), '--tensorboard', board, '--wandb', wandb];

    const first = await lockstep(t, ...args);
    const again = await lockstep(t, ...args);

    assert.equal(first.status, 0, first.stderr);
    const events = join(board, 'old', readdirSync(join(board, 'old'))[0] ?? '');
    assert.ok(readFileSync(events).includes('losses/train'));
    assert.match(readdirSync(wandb).join(), /^offline-run-20010909_014640-[0-9a-z]{8}$/);
    assert.equal(again.status, 2);
    assert.match(again.stderr, /is there already: this run was exported before/);
  });
});

describe('lockstep compare', () => {
  test('prints a row for each run, and a dash for what nobody knows', async (t) => {
    const { folder } = await world(t);
    const csv = join(folder, 'runs.csv');

    const { status, stdout } = await lockstep(t, 'compare', join(folder, 'old'), '--csv', csv);

    assert.equal(status, 0);
    assert.match(stdout, /^run +status +model .*\nold +finished +mlp +– /);
    assert.equal(readFileSync(csv, 'utf8').split('\n')[1]?.slice(0, 18), 'old,finished,mlp,,');
  });
});

describe('the dashboard', () => {
  test('lets one browser in by a link, once, and prints another', async (t) => {
    const { links, enter, ask, keyOf, cookieOf } = await world(t);

    const refused = await ask('/api/runs');
    const first = await enter(keyOf(links[0]));
    const again = await enter(keyOf(links[0]));
    const cookie = cookieOf(first);
    const second = await enter(keyOf(links[1]));

    assert.equal(refused.status, 401);
    assert.equal(first.status, 200);
    assert.match(String(first.headers['set-cookie']), /HttpOnly; SameSite=Strict/);
    assert.equal(again.status, 401);
    assert.equal(second.status, 200);
    assert.equal((await ask('/api/runs', { cookie })).status, 200);
    assert.equal((await ask('/api/runs', { cookie: `${cookie}x` })).status, 401);
  });

  test('lets programs read with the key of their user', async (t) => {
    const { ask } = await world(t);

    const metrics = await ask('/metrics', { authorization: `Bearer ${USER_KEY}` });
    const wrong = await ask('/metrics', { authorization: `Bearer ${'x'.repeat(43)}` });

    assert.equal(metrics.status, 200);
    assert.equal(wrong.status, 401);
  });

  test('refuses foreign pages and names that lead here, for every method', async (t) => {
    const { ask, port, links, enter, keyOf, cookieOf, origin } = await world(t);
    const cookie = cookieOf(await enter(keyOf(links[0])));
    const foreign = [
      { cookie, host: `evil.example:${port}` },
      { cookie, host: `127.0.0.1.evil.example:${port}` },
      { cookie, host: 'evil.example', origin: 'http://evil.example' },
      { cookie, origin: 'http://evil.example' },
      { cookie, origin: 'null' },
      { cookie, origin: `http://localhost:${port + 1}` },
      { cookie, 'sec-fetch-site': 'cross-site' },
      { cookie, 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' },
      { cookie, origin, 'sec-fetch-site': 'cross-site' },
    ];

    const statuses = new Set<number>();
    for (const method of METHODS)
      for (const headers of foreign)
        for (const path of ['/api/runs', '/', '/api/session'])
          statuses.add((await ask(path, headers, method)).status);

    assert.deepEqual(statuses, new Set([421, 403]));
  });

  test('answers the methods and paths of its list, and no other', async (t) => {
    const { ask, links, enter, keyOf, cookieOf, origin } = await world(t);
    const cookie = cookieOf(await enter(keyOf(links[0])));
    const headers = { cookie, origin };
    const strange = [
      ...['/../secret.txt', '/%2e%2e/secret.txt', '/api/runs/..%2fsecret.txt/logs/0'],
      ...['/api/runs/%2e%2e', '/api/runs/old%2flogs', '/m/../server.js', '/api/runs/a%00b'],
      ...['/api/runs/%zz/logs', '//api/runs/..', '/api/jobs/nobody/metrics', '/nothing'],
    ];

    for (const path of strange) {
      const { status, text } = await ask(path, headers);
      assert.equal(status, 404, `${path}: ${text}`);
      assert.doesNotMatch(text, /nobody may see this/);
    }
    for (const method of METHODS.filter((one) => one !== 'GET' && one !== 'HEAD')) {
      const { status } = await ask('/api/runs', headers, method);
      assert.equal(status, 405, method);
    }
    assert.equal((await ask('/api/session', headers, 'POST', 'x'.repeat(5_000))).status, 413);
    assert.equal((await ask('/api/runs/old/logs/0', headers)).text, 'hello\n');
  });

  test('forbids pages whatever is not of the same place', async (t) => {
    const { ask } = await world(t);

    const { headers, text } = await ask('/');
    const scripts = [...text.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path = '']) => path);
    const types = await Promise.all(scripts.map(async (path) => (await ask(`/${path}`)).status));

    assert.match(
      String(headers['content-security-policy']),
      /default-src 'none'; script-src 'self'/,
    );
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['access-control-allow-origin'], undefined);
    assert.ok(scripts.length > 10);
    assert.ok(scripts.every((path) => !path.includes(':') && !path.startsWith('/')));
    assert.deepEqual([...new Set(types)], [200]);
    assert.doesNotMatch(text, /<script[^>]*>[^<]/);
  });

  test('goes on telling where a browser has stopped listening', async (t) => {
    const { feed, port, links, enter, keyOf, cookieOf } = await world(t);
    const cookie = cookieOf(await enter(keyOf(links[0])));
    feed.onEvent(JOINED);
    feed.onEvent(stepOf(1));

    const first = await listen(port, { cookie }, (told) => told.includes('event: view'));
    feed.onEvent(stepOf(2));
    feed.onEvent(stepOf(3));
    const id = idIn(first);
    const next = await listen(port, { cookie, 'last-event-id': id }, (told) =>
      told.includes('data: '),
    );
    const strange = { cookie, 'last-event-id': `other.${id.split('.')[1]}` };
    const anew = await listen(port, strange, (told) => told.includes('data: '));

    assert.equal(viewIn(first).step, 1);
    assert.deepEqual(
      recordsIn(next).map((record) => record.id),
      [3, 4],
    );
    assert.equal(viewIn(anew).step, 3);
  });

  test('tells how a run has ended before it closes', async (t) => {
    const { feed, port, dashboard, links, enter, keyOf, cookieOf } = await world(t);
    const cookie = cookieOf(await enter(keyOf(links[0])));
    feed.onEvent(stepOf(1));
    let isListening = (): void => {};
    const listening = new Promise<void>((resolve) => (isListening = resolve));
    const told = listen(port, { cookie }, () => {
      isListening();
      return false;
    });
    await listening;

    feed.end('finished');
    await dashboard.close();

    assert.deepEqual(
      recordsIn(await told).map(({ event }) => event.kind),
      ['run-ended'],
    );
  });

  test('shows a run of the folder, and tells of lines that are damaged', async (t) => {
    const { ask, links, enter, keyOf, cookieOf } = await world(t);
    const cookie = cookieOf(await enter(keyOf(links[0])));

    const { runs, count } = JSON.parse((await ask('/api/runs', { cookie })).text) as {
      runs: { name: string; status: string }[];
      count: number;
    };
    const view = JSON.parse((await ask('/api/runs/old', { cookie })).text) as RunView;

    assert.deepEqual(
      [count, runs.map(({ name, status }) => `${name} ${status}`)],
      [1, ['old finished']],
    );
    assert.deepEqual([view.step, view.phase, view.workers.length], [2, 'finished', 3]);
    assert.match(view.log.at(-2)?.text ?? '', /^1 lines of metrics.jsonl cannot be read/);
  });

  test('has the paths and fields of the heterogeneous monitor, as its page says', async (t) => {
    const { ask, feed } = await world(t);
    for (const event of [joined(0), joined(1), joined(2), stepOf(1), stepOf(2)])
      feed.onEvent(event);
    const page = readPage('docs/dashboard.md');
    const authorization = `Bearer ${USER_KEY}`;
    const answerTo = async (path: string): Promise<Record<string, unknown>> => {
      const { status, text } = await ask(path, { authorization });
      assert.equal(status, 200, path);
      return JSON.parse(text) as Record<string, unknown>;
    };
    const firstOf = (list: unknown): object => (list as object[])[0] ?? {};

    const nodes = await answerTo('/api/nodes');
    const jobs = await answerTo('/api/jobs');
    const latest = await answerTo('/api/metrics/latest');
    const history = await answerTo('/api/metrics/history/live?limit=1');
    const experiments = await answerTo('/api/experiments');
    const documented: readonly (readonly [string, object])[] = [
      ['/api/nodes', firstOf(nodes['nodes'])],
      ['/api/system', await answerTo('/api/system')],
      ['/api/cluster/status', await answerTo('/api/cluster/status')],
      ['/api/jobs', firstOf(jobs['jobs'])],
      ['/api/metrics/latest', latest['rank_0'] as object],
      ['/api/experiments', firstOf(experiments['experiments'])],
    ];

    for (const [path, answer] of documented) {
      const [, item = ''] = page.split(`- \`${path}\``);
      const text = item.split('\n- `')[0] ?? '';
      const missing = Object.keys(answer).filter((key) => !text.includes(`\`${key}\``));
      assert.deepEqual(missing, [], path);
      assert.ok(Object.keys(answer).length >= 4, path);
    }
    assert.deepEqual(history['iteration'], [2]);
    assert.deepEqual(Object.keys(latest), ['rank_0', 'rank_1', 'rank_2']);
    assert.equal((await answerTo('/api/cluster/status'))['active_nodes'], 3);
  });

  test('takes the next free port, but not instead of one that was asked for', async (t) => {
    const { port } = await world(t);
    const library = new RunLibrary('nowhere', describeEvent);
    const about = { library, first: undefined, userKey: undefined, onLink: () => {} };
    const free = { ...about, port: undefined, flag: '--dashboard' };
    const one = await openDashboard(free);
    t.after(() => one.close());
    const other = await openDashboard(free);
    t.after(() => other.close());

    assert.ok(one.port >= 3000 && other.port > one.port);
    await assert.rejects(
      openDashboard({ ...about, port, flag: '--dashboard' }),
      new RegExp(`port ${port} is in use.*choose another with --dashboard`),
    );
  });

  test('bounds what strangers can hold', async (t) => {
    const { port, ask } = await world(t);
    const sockets = Array.from({ length: 80 }, () => connect({ host: '127.0.0.1', port }));
    for (const socket of sockets) socket.on('error', () => {});
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    const closed = await new Promise((resolve) =>
      sockets.forEach((socket) => socket.once('close', () => resolve(true))),
    );

    for (const socket of sockets) socket.destroy();

    assert.equal(closed, true);
    assert.ok([200, 0].includes((await ask('/api/health').catch(() => ({ status: 0 }))).status));
  });
});
