/**
 * Strangers at a door, many at once, who send frames that nobody should send. What they send
 * follows from the seed; only what is answered when, and so the order of connections, does not.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { ToCoordinator } from '../../src/protocol/messages.ts';
import { encodeFrameHead } from '../../src/transport/frame.ts';
import { FrameDecoder } from '../../src/transport/frame-decoder.ts';
import { Choices } from '../simulation/choices.ts';
import { mutatedFrame, staleFrame } from './frame-mutations.ts';
import { hello } from './peer.ts';

/** Nobody waits longer for the door. */
const ANSWER_MS = 5_000;
/** After so many visits in a row without an answer there is no door any more. */
const SILENT_VISITS = 1_000;
/** Frames that a member sends in one go. */
const BURST = 90;

/** What is sent, and where to. */
export interface FuzzPlan {
  readonly address: string;
  readonly seed: number;
  readonly frames: number;
  /** Visitors at the same time. */
  readonly visitors: number;
  /** All of them together; without it as many as the door takes. */
  readonly framesPerSecond?: number;
  /** Of so many visitors one is let in whole, and is given work that it does not do. */
  readonly wholeOneIn?: number;
}

/** What was sent. */
export interface FuzzReport {
  frames: number;
  connections: number;
  /** Visitors who could not connect, or had no answer in time. */
  unanswered: number;
  readonly byKind: Record<string, number>;
}

type Sayable = readonly ToCoordinator['kind'][];
const SAID: Readonly<Record<string, Sayable>> = {
  control: ['released', 'audited'],
  data: ['contribution', 'applied', 'digest'],
  heartbeat: ['heartbeat'],
};

/** Sends the frames of `plan`, or fewer when nobody answers any more. */
export async function fuzz(plan: FuzzPlan): Promise<FuzzReport> {
  const report: FuzzReport = { frames: 0, connections: 0, unanswered: 0, byKind: {} };
  const startedMs = performance.now();
  let visits = 0;
  let silentVisits = 0;
  const visitor = async (): Promise<void> => {
    while (report.frames < plan.frames && silentVisits < SILENT_VISITS) {
      const unanswered = report.unanswered;
      await new Visit(plan, visits++, report).run();
      silentVisits = report.unanswered > unanswered ? silentVisits + 1 : 0;
      const { framesPerSecond = Infinity } = plan;
      const dueMs = startedMs + (report.frames / framesPerSecond) * 1_000;
      if (dueMs > performance.now()) await pause(dueMs - performance.now());
    }
  };
  await Promise.all(Array.from({ length: plan.visitors }, visitor));
  return report;
}

/** One stranger, from its first connection to its end. */
class Visit {
  readonly #plan: FuzzPlan;
  readonly #choices: Choices;
  readonly #report: FuzzReport;
  readonly #number: number;
  readonly #sockets: Socket[] = [];

  constructor(plan: FuzzPlan, number: number, report: FuzzReport) {
    this.#plan = plan;
    this.#number = number;
    this.#choices = new Choices(plan.seed * 1_000_003 + number);
    this.#report = report;
  }

  async run(): Promise<void> {
    const { wholeOneIn = Infinity } = this.#plan;
    try {
      if (this.#number % wholeOneIn === wholeOneIn - 1) await this.#joinsWhole();
      else if (this.#choices.chance(0.4)) await this.#knocks();
      else await this.#joins(this.#choices.chance(0.5) ? 'data' : 'heartbeat');
    } catch {
      this.#report.unanswered++;
    } finally {
      for (const socket of this.#sockets) socket.destroy();
    }
  }

  /** Says something odd first; some say it byte by byte. */
  async #knocks(): Promise<void> {
    const socket = await this.#connect();
    const bytes = this.#mutated();
    if (this.#choices.chance(0.02))
      for (const byte of bytes.subarray(0, 40)) {
        socket.write(Uint8Array.of(byte));
        await pause(1);
      }
    else socket.write(bytes);
    await ended(socket);
  }

  /** Is welcome, says what is out of date or known, and then something odd. */
  async #joins(channel: 'data' | 'heartbeat'): Promise<void> {
    const { control, welcome, named } = await this.#isWelcome();
    const second = await this.#connect();
    second.write(encodeFrameHead(hello({ ...named, channel, session: welcome.session })));
    if (this.#choices.chance(0.7)) this.#sayReady(control, welcome.job.dataDigest);
    else {
      // Its own hello again has no effect; anything else is too early.
      for (let again = this.#choices.below(BURST); again > 0; again--)
        this.#say(control, 'hello again', encodeFrameHead(hello(named)));
      control.write(this.#mutated());
      return ended(control);
    }
    // The two connections are not ordered: what it says on the second would come too early.
    if (channel === 'data') await pause(20);
    for (let left = this.#choices.below(BURST); left > 0; left--) {
      const [socket, said] = this.#choices.chance(0.3) ? [control, 'control'] : [second, channel];
      this.#say(socket, `out of date, ${said}`, staleFrame(this.#choices, SAID[said]!));
    }
    const last = this.#choices.chance(0.3) ? control : second;
    last.write(this.#mutated());
    await ended(last);
  }

  /** Joins as a worker does, and leaves with something odd while it has work. */
  async #joinsWhole(): Promise<void> {
    const { control, welcome, named } = await this.#isWelcome();
    const [data, heartbeat] = [await this.#connect(), await this.#connect()];
    const { session } = welcome;
    data.write(encodeFrameHead(hello({ ...named, channel: 'data', session })));
    heartbeat.write(encodeFrameHead(hello({ ...named, channel: 'heartbeat', session })));
    this.#sayReady(control, welcome.job.dataDigest);
    await pause(this.#choices.below(200));
    const last = [control, data, heartbeat][this.#choices.below(3)]!;
    last.write(this.#mutated());
    await ended(last);
  }

  #sayReady(control: Socket, dataDigest: string): void {
    const ready = { kind: 'ready', dataDigest, numericsClass: 'none', loadMs: 1 };
    control.write(encodeFrameHead(ready));
    if (this.#choices.chance(0.3)) this.#say(control, 'ready again', encodeFrameHead(ready));
  }

  #mutated(): Uint8Array {
    const { mutation, bytes } = mutatedFrame(this.#choices);
    this.#count(mutation);
    return bytes;
  }

  #say(socket: Socket, kind: string, bytes: Uint8Array): void {
    this.#count(kind);
    socket.write(bytes);
  }

  #count(kind: string): void {
    this.#report.frames++;
    this.#report.byKind[kind] = (this.#report.byKind[kind] ?? 0) + 1;
  }

  async #isWelcome() {
    const named = { workerId: `fuzzer-${process.pid}-${this.#plan.seed}-${this.#number}` };
    const control = await this.#connect();
    const answer = hearing(control);
    control.write(encodeFrameHead(hello(named)));
    return { control, named, welcome: await answer };
  }

  async #connect(): Promise<Socket> {
    this.#report.connections++;
    const { address } = this.#plan;
    const colon = address.lastIndexOf(':');
    const socket = connect(Number(address.slice(colon + 1)), address.slice(0, colon));
    this.#sockets.push(socket);
    socket.on('error', () => {});
    socket.setNoDelay(true);
    await within(ANSWER_MS, (done) => void socket.once('connect', done).once('close', done));
    return socket;
  }
}

interface Welcome {
  readonly session: string;
  readonly job: { readonly dataDigest: string };
}

/** The first thing that the door says; whatever comes then is read and forgotten. */
async function hearing(socket: Socket): Promise<Welcome> {
  let first: unknown;
  await within(ANSWER_MS, (done) => {
    const decoder = new FrameDecoder({
      limits: () => ({ maxHeaderBytes: 1 << 20, maxPayloadBytes: 1 << 30 }),
      payloadTarget: () => undefined,
      frame: (header) => {
        first ??= header;
        done();
      },
      link: () => {},
    });
    socket.on('data', (bytes) => first === undefined && decoder.push(bytes));
    socket.once('close', done);
  });
  if ((first as { kind?: unknown } | undefined)?.kind !== 'welcome')
    throw new Error('was not welcome');
  return first as Welcome;
}

/** Says that nothing more comes, and waits until the door has seen it. */
async function ended(socket: Socket): Promise<void> {
  if (socket.destroyed) return;
  socket.resume();
  await within(ANSWER_MS, (done) => {
    socket.once('close', done);
    socket.end();
  });
}

/** Resolves when `done` is called, or throws after `ms`. */
async function within(ms: number, begin: (done: () => void) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve, reject) => {
    timer = setTimeout(() => reject(new Error('nobody answered')), ms);
    begin(resolve);
  }).finally(() => clearTimeout(timer));
}
