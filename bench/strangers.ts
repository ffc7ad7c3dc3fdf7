/**
 * What strangers in the network cost a run whose door wants a key, while a worker of another host
 * trains: 200 connections of 13 addresses that say nothing (who is closed comes again a second
 * later), and mutated beginnings of connections, as many as the door lets come. Real network
 * namespaces (root, Linux).
 *
 *   npm run bench -- strangers             20 s each: nobody, at another door, at the run's
 *   npm run bench -- strangers 60
 */
import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Run } from '../test/cluster/runs.ts';
import { reasonToSkip, watch, withNetwork } from '../test/real/network.ts';
import { encodeFrameHead } from '../src/transport/frame.ts';
import { machine } from './lib/processes.ts';

const SILENT = 200;
const HUB = '10.99.0.1';
const OTHER_PORT = '7999';
/** Of the strangers that say nothing: of one address the door would take only a few. */
const ADDRESSES = Array.from({ length: 13 }, (_, index) => `10.99.0.${100 + index}`);
/** One that says nothing is opened again so long after the door has closed it. */
const AGAIN_MS = 1_000;
/** Connections that a stranger has open at a time, besides those that say nothing. */
const BUSY = 16;
const ARGS = ['--hidden', '256', '--steps', '1000000', '--eval-every', 'never', '--workers', '1'];
/** The head of a TLS handshake record, and a frame: what the door knows. */
const BEGINNINGS: readonly Uint8Array[] = [
  Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3),
  encodeFrameHead({ kind: 'hello', protocol: 11, channel: 'control' }),
];

/** Some beginning with some bytes of it changed, and more behind it. */
function mutated(): Buffer {
  const bytes = Buffer.concat([BEGINNINGS[randomInt(2)] ?? randomBytes(1), randomBytes(256)]);
  for (let i = randomInt(4); i >= 0; i--) bytes[randomInt(1, bytes.length)] = randomInt(256);
  return bytes;
}

/** As a process in a namespace of its own: knocks for so long, and says how often. */
async function knock(host: string, port: number, forMs: number): Promise<void> {
  const endMs = Date.now() + forMs;
  const open = (localAddress?: string): Socket =>
    connect({ port, host, ...(localAddress && { localAddress }) }).on('error', () => {});
  let tries = 0;
  const silent = Array.from({ length: SILENT }, async (_, index) => {
    while (Date.now() < endMs) {
      const socket = open(ADDRESSES[index % ADDRESSES.length]).resume();
      const gone = new AbortController();
      await Promise.race([
        once(socket, 'close', { signal: gone.signal }).catch(() => {}),
        sleep(endMs - Date.now(), undefined, { signal: gone.signal }).catch(() => {}),
      ]);
      gone.abort();
      socket.destroy();
      if (Date.now() + AGAIN_MS < endMs) await sleep(AGAIN_MS);
    }
  });
  const busy = Array.from({ length: BUSY }, async () => {
    for (; Date.now() < endMs; tries++) {
      const socket = open();
      socket.once('connect', () => socket.end(mutated())).resume();
      await new Promise((resolve) => socket.once('close', resolve));
    }
  });
  await Promise.all([...busy, ...silent]);
  console.log(tries);
}

/** Mebibytes that a process has in memory. */
function residentMiB(pid: number): number {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

async function stepsPerSecond(run: Run, seconds: number): Promise<number> {
  return (await watch(run, seconds)).length / seconds;
}

/** A door beside the run's that closes every connection: what knocking costs the machine. */
function openOther(inside: readonly string[]): ChildProcess {
  const program = `require('node:net').createServer((s) => s.destroy()).listen(${OTHER_PORT})`;
  const [ip = '', ...words] = inside;
  return spawn(ip, [...words, process.execPath, '-e', program], { stdio: 'inherit' });
}

/** How fast the run is while strangers knock at a port, and how often they did. */
async function knockedAt(
  run: Run,
  namespace: string,
  port: string,
  seconds: number,
): Promise<{ readonly rate: number; readonly tries: number }> {
  const script = ['--import', 'tsx', fileURLToPath(import.meta.url)];
  const knocks = ['knock', HUB, port, String(1000 * seconds + 3_000)];
  const words = ['netns', 'exec', namespace, process.execPath, ...script, ...knocks];
  const stranger = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let tries = '';
  stranger.stdout.on('data', (text: Buffer) => (tries += text.toString()));
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const rate = await stepsPerSecond(run, seconds);
  await once(stranger, 'close', { signal: AbortSignal.timeout(60_000) });
  return { rate, tries: Number(tries) };
}

async function main(seconds: number): Promise<void> {
  const reason = reasonToSkip();
  if (reason !== false) throw new Error(reason);
  console.log(machine());
  await withNetwork(async (network) => {
    const other = openOther(network.inside);
    try {
      const run = await network.coordinate(ARGS);
      const [, port = ''] = /:(\d+)$/.exec(await run.address()) ?? [];
      network.join(undefined);
      await run.reachesStep(200);
      const memory = residentMiB(run.program.pid);
      const { namespace } = network.addHost(undefined);
      for (const address of ADDRESSES)
        spawnSync('ip', ['-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth0']);
      const before = await stepsPerSecond(run, seconds);
      const elsewhere = await knockedAt(run, namespace, OTHER_PORT, seconds);
      const here = await knockedAt(run, namespace, port, seconds);
      const grown = residentMiB(run.program.pid) - memory;
      const joined = run.eventsOf('worker-joined').length;
      console.log(
        `${before.toFixed(1)} steps/s; ${elsewhere.rate.toFixed(1)} while strangers knock at ` +
          `another door (${elsewhere.tries} times), ${here.rate.toFixed(1)} while they knock at ` +
          `the run's (${here.tries} times, ${SILENT} of them silent): ` +
          `${(here.rate / elsewhere.rate).toFixed(3)}x`,
      );
      console.log(`${joined} worker joined; the coordinator grew by ${grown.toFixed(1)} MiB`);
    } finally {
      other.kill('SIGKILL');
    }
  });
}

const [what = '20', host = '', port = '', forMs = ''] = process.argv.slice(2);
if (what === 'knock') await knock(host, Number(port), Number(forMs));
else await main(Number(what));
