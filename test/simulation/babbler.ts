/**
 * A member that says anything at any time: it joins as a worker does, mostly with the data and a
 * place in groups, then sends messages of every kind, mostly where they belong, and joins again when
 * it is put out.
 */
import { type Hello, PROTOCOL_VERSION, type ToCoordinator } from '../../src/protocol/messages.ts';
import type { Connection } from '../../src/transport/connection.ts';
import { SimulatedHost } from '../../src/transport/memory-network.ts';
import type { ManualClock } from '../../src/base/clock.ts';
import type { Choices } from './choices.ts';

const BABBLE_MS = 5_000;
const REJOIN_MS = 300;
const SAYINGS = 40;
/** In which it opens its connections. */
const ORDER: readonly Hello['channel'][] = ['control', 'data', 'heartbeat'];

/** Where it babbles. */
export interface BabbledAt {
  readonly clock: ManualClock;
  readonly choices: Choices;
  readonly isOver: boolean;
  dial(host: SimulatedHost): Connection;
}

type Kind = ToCoordinator['kind'];

/** Where an honest worker says it. */
const CHANNELS: { readonly [K in Kind]: Hello['channel'] } = {
  hello: 'control',
  sendSamples: 'data',
  ready: 'control',
  grouped: 'control',
  fenced: 'data',
  reduced: 'data',
  released: 'control',
  contribution: 'data',
  audited: 'control',
  applied: 'data',
  state: 'data',
  serving: 'data',
  fetched: 'data',
  digest: 'data',
  heartbeat: 'heartbeat',
  failed: 'control',
};
const KINDS = Object.keys(CHANNELS) as Kind[];
/** It is put out for none of these, as long as what they tell can be. */
const HARMLESS: readonly Kind[] = ['heartbeat', 'released', 'reduced', 'grouped', 'fetched'];

/** Something that a worker could say, but has no reason to. */
function sayingOf(choices: Choices, kind: Kind, hello: Hello): ToCoordinator {
  const step = choices.below(12);
  const pass = choices.below(30);
  const generation = choices.below(5);
  const microBatches = Array.from({ length: choices.below(4) }, () => choices.below(14));
  const records = microBatches.map((microBatch) => ({
    microBatch,
    sampleCount: 1 + choices.below(3),
    lossSum: choices.chance(0.2) ? null : choices.between(-1, 1),
    correctSum: 0,
    // Of fewer tensors than there are: else it would be as good as a lie, which only audits find.
    maxima: [choices.between(0, 9)],
    computeMs: choices.magnitude(0.1, 1e6),
  }));
  const sayings: { readonly [K in Kind]: () => Extract<ToCoordinator, { kind: K }> } = {
    hello: () => hello,
    sendSamples: () => ({ kind: 'sendSamples', split: 's', part: 'x', offset: 0, byteLength: 1 }),
    ready: () => ({ ...readyOf(choices, hello), dataDigest: 'other data' }),
    grouped: () => {
      const problem = { place: choices.below(3), reason: 'no reason' };
      return { kind: 'grouped', generation, ...(choices.chance(0.5) && { problem }) };
    },
    fenced: () => ({ kind: 'fenced', generation, pass: choices.chance(0.5) ? pass : null }),
    reduced: () => ({ kind: 'reduced', pass, addingMs: 1 }),
    released: () => ({ kind: 'released', pass, microBatches }),
    contribution: () => ({ kind: 'contribution', pass, records, busyMs: 1 }),
    audited: () => ({ kind: 'audited', pass, records }),
    applied: () => ({ kind: 'applied', step, norms: [1, null] }),
    state: () => ({ kind: 'state', step, offset: 0 }),
    serving: () => {
      return { kind: 'serving', secret: 's', stateDigest: choices.chance(0.5) ? 's' : null };
    },
    fetched: () => ({ kind: 'fetched', serial: choices.below(9) }),
    digest: () => {
      const digests = { weightsDigest: 'w', stateDigest: 's' };
      return { kind: 'digest', step, ask: choices.below(9), ...digests };
    },
    heartbeat: () => {
      const signs = { progress: choices.below(1e6), busyLanes: choices.below(9) };
      return { kind: 'heartbeat', ...signs, ...(choices.chance(0.3) && { echoes: 0 }) };
    },
    failed: () => ({ kind: 'failed', reason: 'no reason' }),
  };
  return sayings[kind]();
}

/** What an honest worker says first; of some that can be reached by others, as they say. */
function readyOf(choices: Choices, { workerId }: Hello): Extract<ToCoordinator, { kind: 'ready' }> {
  const doors = choices.chance(0.8) && { doors: [{ host: workerId, port: 1 }] };
  const times = { loadMs: 1, trialMs: choices.magnitude(0.01, 1e9) };
  return { kind: 'ready', dataDigest: 'data', numericsClass: 'one', ...times, ...doors };
}

/** Joins, babbles for a while, and leaves for good after a few seconds. */
export class Babbler {
  readonly #cluster: BabbledAt;
  readonly #host: SimulatedHost;
  #endMs = 0;

  constructor(cluster: BabbledAt, name: string) {
    this.#cluster = cluster;
    this.#host = new SimulatedHost(name);
  }

  start(atMs: number): void {
    this.#endMs = atMs + BABBLE_MS;
    this.#cluster.clock.after(atMs, () => this.#join());
  }

  #join(): void {
    const { clock, choices, isOver } = this.#cluster;
    if (isOver) return;
    if (clock.now() > this.#endMs) return this.#host.kill();
    const connections: Connection[] = [];
    const open = (channel: Hello['channel'], session: string): void => {
      const connection = this.#cluster.dial(this.#host);
      connections.push(connection);
      connection.limits = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 1 << 20 };
      connection.handlers = {
        onFrame: (header) => {
          const welcome = header as { readonly kind: string; readonly session: string };
          if (welcome.kind !== 'welcome' || connections.length > 1) return;
          open('data', welcome.session);
          open('heartbeat', welcome.session);
          const said = this.#hello('control', welcome.session);
          if (choices.chance(0.9)) connections[0]?.send(readyOf(choices, said));
          this.#babble(connections, said, SAYINGS);
        },
        onClose: () => {
          const isFirst = connections.splice(0).map((c) => c.destroy()).length > 0;
          if (isFirst) clock.after(REJOIN_MS, () => this.#join());
        },
      };
      connection.send(this.#hello(channel, session));
    };
    open('control', '');
  }

  #babble(connections: readonly Connection[], hello: Hello, left: number): void {
    const { clock, choices, isOver } = this.#cluster;
    const kinds = choices.chance(0.8) ? HARMLESS : KINDS;
    const kind = kinds[choices.below(kinds.length)]!;
    const isRight = choices.chance(0.95);
    const place = isRight ? ORDER.indexOf(CHANNELS[kind]) : choices.below(ORDER.length);
    const connection = connections[place];
    if (isOver || connection === undefined) return;
    if (left === 0 || clock.now() > this.#endMs) return connection.destroy();
    const mayCarry = !isRight || CHANNELS[kind] === 'data';
    const payload =
      mayCarry && choices.chance(0.2) ? new Uint8Array(choices.below(300)) : undefined;
    connection.send(sayingOf(choices, kind, hello), payload);
    clock.after(choices.magnitude(0.1, 500), () => this.#babble(connections, hello, left - 1));
  }

  #hello(channel: Hello['channel'], session: string): Hello {
    return {
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      channel,
      session,
      workerId: this.#host.name,
      host: this.#host.name,
      processId: 1,
      lanes: 1,
      software: 'babbler',
      rank: null,
    };
  }
}
