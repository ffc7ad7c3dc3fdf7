/**
 * A member that says anything at any time: it joins as a worker does, then sends messages of every
 * kind on every connection, some of them well formed, and joins again when it is put out.
 */
import { type Hello, PROTOCOL_VERSION, type ToCoordinator } from '../../src/protocol/messages.ts';
import type { Connection } from '../../src/transport/connection.ts';
import { SimulatedHost } from '../../src/transport/memory-network.ts';
import type { ManualClock } from '../../src/base/clock.ts';
import type { Choices } from './choices.ts';

const BABBLE_MS = 5_000;
const REJOIN_MS = 300;
const SAYINGS = 40;

/** Where it babbles. */
export interface BabbledAt {
  readonly clock: ManualClock;
  readonly choices: Choices;
  readonly isOver: boolean;
  dial(host: SimulatedHost): Connection;
}

/** Something that a worker could say, but has no reason to. */
function sayingOf(choices: Choices, hello: Hello): ToCoordinator {
  const step = choices.below(12);
  const pass = choices.below(30);
  const microBatches = Array.from({ length: choices.below(4) }, () => choices.below(14));
  const records = microBatches.map((microBatch) => ({
    microBatch,
    sampleCount: 1 + choices.below(3),
    lossSum: choices.chance(0.2) ? null : choices.between(-1, 1),
    correctSum: 0,
    // No tensor more or less: then it would be as good as a lie, which only audits find.
    maxima: [choices.between(0, 9)],
    computeMs: choices.magnitude(0.1, 1e6),
  }));
  const sayings: readonly ToCoordinator[] = [
    hello,
    { kind: 'ready', dataDigest: 'data', numericsClass: 'two', loadMs: 1 },
    { kind: 'ready', dataDigest: 'other data', numericsClass: 'one', loadMs: 1 },
    { kind: 'released', pass, microBatches },
    { kind: 'contribution', pass, records, busyMs: 1 },
    { kind: 'audited', pass, records },
    { kind: 'applied', step, norms: [1, null] },
    { kind: 'state', step },
    { kind: 'serving', secret: 's', stateDigest: choices.chance(0.5) ? 's' : null },
    { kind: 'fetched', serial: choices.below(9) },
    { kind: 'digest', step, ask: choices.below(9), weightsDigest: 'w', stateDigest: 's' },
    { kind: 'heartbeat', progress: choices.below(1e6), busyLanes: choices.below(9) },
    { kind: 'failed', reason: 'no reason' },
  ];
  return sayings[choices.below(sayings.length)]!;
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
    const { clock, isOver } = this.#cluster;
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
          this.#babble(connections, this.#hello('control', welcome.session), SAYINGS);
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
    const connection = connections[choices.below(3)];
    if (isOver || connection === undefined) return;
    if (left === 0 || clock.now() > this.#endMs) return connection.destroy();
    const payload = choices.chance(0.2) ? new Uint8Array(choices.below(300)) : undefined;
    connection.send(sayingOf(choices, hello), payload);
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
