import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { LinkSpeed } from '../plan/sum-cost.ts';
import { type PeerHello, type PeerRequest, PEER_LIMITS } from '../protocol/peer-messages.ts';
import type { Connection } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { PeerDial } from './peer-dial.ts';

const GROUP = { generation: 1, secret: 'secret', index: 1, sumBytes: 1 << 20 } as const;

/** What is behind a door; nobody if it has no rate. */
interface TestDoor {
  /** Bytes a millisecond. */
  readonly rate?: number;
  /** When it is found to be open, or closed. */
  readonly afterMs?: number;
  /** Whether somebody else listens there. */
  readonly isForeign?: boolean;
  /** Whether its connection ends when it is measured. */
  readonly isBreaking?: boolean;
}

/** Dials a worker with these doors. */
function dial(doors: readonly TestDoor[], isMeasured = true) {
  const clock = new ManualClock();
  const hosts = [new SimulatedHost('dialler'), new SimulatedHost('peer')] as const;
  const open = new Set<number>();
  const chosen: number[] = [];
  const probed = new Set<number>();
  const result: { rate?: number | undefined; reason?: string; connection?: Connection } = {};
  const answer = (port: number): Connection => {
    const { rate = 0, isForeign = false, isBreaking = false } = doors[port] ?? {};
    const link = { delayMs: () => 0.1, heldUntilMs: 0, bytesPerMs: rate };
    const [near, far] = connectInMemory(clock, link, ...hosts);
    open.add(port);
    far.limits = PEER_LIMITS;
    far.handlers = {
      onFrame: (header) => {
        const said = header as PeerHello | PeerRequest;
        if (said.kind === 'hello' && !isForeign) far.send({ kind: 'welcome', generation: 1 });
        if (said.kind === 'chosen') chosen.push(port);
        if (said.kind !== 'probe') return;
        probed.add(port);
        if (isBreaking) far.destroy();
        else far.send({ kind: 'probed' }, new Uint8Array(said.bytes));
      },
      onClose: () => void open.delete(port),
    };
    return near;
  };
  const peerDial = new PeerDial({
    group: GROUP,
    doors: doors.map((_, port) => ({ host: 'peer', port })),
    isMeasured,
    clock,
    network: {
      connect: ({ port }, opened, failed) => {
        const { rate, afterMs = 1 } = doors[port]!;
        clock.after(afterMs, () => {
          if (rate === undefined) failed(`door ${port} is closed`);
          else opened(answer(port));
        });
      },
    },
    onChosen: (connection: Connection, link: LinkSpeed | undefined) => {
      Object.assign(result, { rate: link?.bytesPerSecond, connection });
    },
    onFailed: (reason) => void (result.reason = reason),
  });
  return { clock, open, chosen, probed, result, peerDial };
}

describe('PeerDial', () => {
  test('chooses the door whose bytes come fastest, and leaves the others', () => {
    const { clock, open, chosen, result } = dial([
      { rate: 1_000 },
      { rate: 100_000 },
      { rate: 50 },
    ]);

    clock.advance(2_500);

    assert.deepEqual([chosen, [...open]], [[1], [1]]);
    assert.ok(result.rate! > 90e6 && result.rate! < 110e6, `${result.rate}`);
  });

  test('takes the first of equal doors', () => {
    const { clock, chosen } = dial([{ rate: 1_000 }, { rate: 1_000 }]);
    clock.advance(500);
    assert.deepEqual(chosen, [0]);
  });

  test('passes over closed doors, and doors behind which somebody else is', () => {
    const foreign = { rate: 1e6, isForeign: true };
    const { clock, chosen } = dial([{}, foreign, { rate: 1_000 }]);

    clock.advance(99);
    assert.deepEqual(chosen, []);
    clock.advance(300);

    assert.deepEqual(chosen, [2]);
  });

  test('waits a tenth of a second for other doors, and ends those that open later', () => {
    const { clock, open, chosen } = dial([
      { rate: 1_000 },
      { rate: 1e5, afterMs: 90 },
      { rate: 1e6, afterMs: 5_000 },
    ]);

    clock.advance(400);
    assert.deepEqual(chosen, [1]);
    clock.advance(5_000);

    assert.deepEqual([...open], [1]);
    assert.equal(clock.pendingCount(), 0);
  });

  test('takes another door when one breaks while it is measured', () => {
    const { clock, chosen, probed } = dial([{ rate: 1e6, isBreaking: true }, { rate: 1_000 }]);

    clock.advance(400);

    assert.deepEqual([[...probed], chosen], [[0, 1], [1]]);
  });

  test('measures nothing where memory is shared', () => {
    const { clock, chosen, probed, result } = dial([{ rate: 1e6 }, { rate: 1e6 }], false);

    clock.advance(10);

    assert.deepEqual([chosen, [...probed], result.rate], [[0], [], undefined]);
  });

  test('fails with what the first door said when all are closed', () => {
    const { clock, result } = dial([{}, { afterMs: 50 }]);

    clock.advance(49);
    assert.equal(result.reason, undefined);
    clock.advance(1);

    assert.equal(result.reason, 'door 0 is closed');
  });

  test('leaves nothing open when it is closed, at whatever moment', () => {
    for (const ms of [0, 1.5, 2, 20, 60]) {
      const { clock, open, result, peerDial } = dial([{ rate: 100 }, { rate: 1_000 }]);
      clock.advance(ms);

      peerDial.close();
      clock.advance(5_000);

      assert.deepEqual([open.size, result, clock.pendingCount()], [0, {}, 0], `after ${ms} ms`);
    }
  });
});
