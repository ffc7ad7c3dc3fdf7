/**
 * One end of a link that is measured, on a machine that has Node.js and perhaps no Lockstep: this
 * file needs nothing else, and travels to it as a whole. With `door` it listens, says on stdout
 * where and with which secret, and gives bytes to whoever says it. With `dial` it reads from stdin
 * which doors to try, and says how far it came.
 *
 * A door is open for a minute at most, and as long as somebody reads its stdout.
 */
import { randomBytes } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';

const OPEN_MS = 60_000;
const SIGN_MS = 500;
const MAX_CONNECTIONS = 64;
/** What is asked for at once, and in all: for so long, or so much, whatever comes first. */
const PIECE_BYTES = 64 << 10;
const MAX_BYTES = 64 << 20;
const STREAM_MS = 300;
const CONNECT_MS = 4_000;
const KNOCK_MS = 1_500;
const ANSWER_MS = 4_000;
const ROUND_TRIPS = 5;
const SECRET_LENGTH = 32;

interface Door {
  readonly host: string;
  readonly port: number;
  readonly secret: string;
}

/** What came of one door. */
interface Attempt {
  readonly host: string;
  readonly port: number;
  /** Of the system; `silent` when nothing came. Absent: the door was reached. */
  readonly code?: string;
  readonly answersElsewhere?: boolean;
  readonly localAddress?: string | undefined;
  readonly roundTripMs?: number;
  readonly megabitsPerSecond?: number;
}

function openDoor(): void {
  const secret = randomBytes(SECRET_LENGTH / 2).toString('hex');
  const server = createServer({ noDelay: true }, (socket) => serve(socket, secret));
  server.maxConnections = MAX_CONNECTIONS;
  const opened = (): void => {
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    process.stdout.write(`${JSON.stringify({ port, secret })}\n`);
  };
  // A machine without IPv6 has no `::`.
  server.once('error', () => server.listen({ host: '0.0.0.0', port: 0 }, opened));
  server.listen({ host: '::', port: 0 }, opened);
  process.stdout.on('error', () => process.exit(0));
  setInterval(() => process.stdout.write('.\n'), SIGN_MS);
  setTimeout(() => process.exit(0), OPEN_MS);
}

/** After the secret every `p` is answered by one, and `b` by bytes. */
function serve(socket: Socket, secret: string): void {
  let known = '';
  socket.on('error', () => socket.destroy());
  socket.setTimeout(ANSWER_MS, () => socket.destroy());
  socket.on('data', (bytes: Buffer) => {
    const missing = SECRET_LENGTH - known.length;
    known += bytes.toString('latin1', 0, missing);
    if (!secret.startsWith(known)) socket.destroy();
    if (known !== secret) return;
    for (const byte of bytes.subarray(missing))
      if (byte === 0x70) socket.write('p');
      else if (byte === 0x62) stream(socket);
  });
}

function stream(socket: Socket): void {
  const piece = Buffer.alloc(PIECE_BYTES, 0x2e);
  const untilMs = performance.now() + STREAM_MS;
  let sent = 0;
  const more = (): void => {
    while (sent < MAX_BYTES && performance.now() < untilMs && !socket.destroyed) {
      sent += PIECE_BYTES;
      if (!socket.write(piece)) return void socket.once('drain', more);
    }
    socket.end();
  };
  more();
}

async function open(host: string, port: number, withinMs: number): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true });
    const give = (what: Socket | string): void => {
      clearTimeout(timer);
      if (what !== socket) socket.destroy();
      resolve(what);
    };
    const timer = setTimeout(() => give('silent'), withinMs);
    socket.once('connect', () => give(socket));
    socket.on('error', (error: Error & { code?: string }) => give(error.code ?? error.message));
  });
}

async function afterMs(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, ms, undefined).unref());
}

/** Whether a machine answers at any port; a refusal is an answer. */
async function answers(host: string, ports: readonly number[]): Promise<boolean> {
  const knocks = ports.map(async (port) => {
    const end = await open(host, port, KNOCK_MS);
    if (typeof end === 'string') return end === 'ECONNREFUSED';
    end.destroy();
    return true;
  });
  return (await Promise.all(knocks)).some(Boolean);
}

/** Tries one door; `meet` has what is said there once it is open, and found of it. */
async function attempt(
  { host, port, secret }: Door,
  ports: readonly number[],
  meet: typeof measure,
): Promise<Attempt> {
  const opening = open(host, port, CONNECT_MS);
  const isQuick = await Promise.race([opening.then(() => true), afterMs(KNOCK_MS)]);
  const knocks = isQuick === true ? undefined : answers(host, ports);
  const end = await opening;
  if (typeof end === 'string') {
    const answersElsewhere = end === 'silent' ? await knocks : undefined;
    return { host, port, code: end, ...(answersElsewhere !== undefined && { answersElsewhere }) };
  }
  const localAddress = end.localAddress;
  const found = await meet(end, secret);
  end.destroy();
  return found === undefined
    ? { host, port, code: 'stranger' }
    : { host, port, localAddress, ...found };
}

type Measured = Pick<Attempt, 'roundTripMs' | 'megabitsPerSecond'>;

/** Undefined when the other end does not answer as a door does. */
async function measure(socket: Socket, secret: string): Promise<Measured | undefined> {
  const talk = new Talk(socket);
  const found = await greet(socket, secret, talk);
  if (found === undefined) return undefined;
  const megabitsPerSecond = await measureRate(socket, talk);
  return { ...found, ...(megabitsPerSecond !== undefined && { megabitsPerSecond }) };
}

async function greet(
  socket: Socket,
  secret: string,
  talk = new Talk(socket),
): Promise<Measured | undefined> {
  socket.write(secret);
  const trips: number[] = [];
  for (let trip = 0; trip < ROUND_TRIPS; trip++) {
    const startMs = performance.now();
    const answer = new Promise<number>((resolve) => (talk.onBytes = resolve));
    socket.write('p');
    if ((await Promise.race([answer, talk.isOver])) === 'over') break;
    trips.push(performance.now() - startMs);
  }
  const roundTripMs = trips.toSorted((a, b) => a - b)[Math.floor(trips.length / 2)];
  return roundTripMs === undefined ? undefined : { roundTripMs };
}

/** What comes from a door, until it closes or nothing more is waited for. */
class Talk {
  onBytes: (count: number) => void = () => {};
  readonly isOver: Promise<'over'>;

  constructor(socket: Socket) {
    socket.on('data', (bytes: Buffer) => this.onBytes(bytes.length));
    this.isOver = new Promise((resolve) => {
      socket.once('close', () => resolve('over'));
      setTimeout(() => resolve('over'), ANSWER_MS).unref();
    });
  }
}

async function measureRate(socket: Socket, talk: Talk): Promise<number | undefined> {
  let [bytes, firstMs, lastMs, firstBytes] = [0, 0, 0, 0];
  const isFull = new Promise<void>((resolve) => {
    talk.onBytes = (count) => {
      bytes += count;
      lastMs = performance.now();
      if (firstMs === 0) [firstMs, firstBytes] = [lastMs, bytes];
      if (lastMs - firstMs > STREAM_MS) resolve();
    };
  });
  socket.write('b');
  await Promise.race([isFull, talk.isOver]);
  if (lastMs - firstMs < 1) return undefined;
  return (8 * (bytes - firstBytes)) / (lastMs - firstMs) / 1000;
}

async function dialAll(): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  const { doors, knocked, measured } = JSON.parse(Buffer.concat(parts).toString('utf8')) as {
    readonly doors: readonly Door[];
    readonly knocked: readonly number[];
    readonly measured: boolean;
  };
  const attempts: Attempt[] = [];
  // Two measurements at once would share the link.
  if (measured) for (const door of doors) attempts.push(await attempt(door, knocked, measure));
  else attempts.push(...(await Promise.all(doors.map((door) => attempt(door, knocked, greet)))));
  process.stdout.write(`${JSON.stringify(attempts)}\n`);
  process.exit(0);
}

if (process.argv.includes('door')) openDoor();
else await dialAll();
