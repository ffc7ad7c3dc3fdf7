import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { LinkSpeed } from '../plan/sum-cost.ts';
import { LinkProbe } from './link-probe.ts';

interface TestLink {
  readonly roundTripMs: number;
  readonly bytesPerMs: number;
}

/** Measures a link for sums of so many bytes; gives what was asked for, and what was found. */
function measure(sumBytes: number, { roundTripMs, bytesPerMs }: TestLink, untilMs = Infinity) {
  const clock = new ManualClock();
  const asked: number[] = [];
  const found: { readonly link: LinkSpeed; readonly atMs: number }[] = [];
  const waiting: number[] = [];
  const probe = new LinkProbe({
    clock,
    sumBytes,
    send: (request) => {
      assert.ok(request.kind === 'probe');
      asked.push(request.bytes);
      waiting.push(request.bytes);
    },
    onMeasured: (link) => void found.push({ link, atMs: clock.now() }),
  });
  for (;;) {
    const bytes = waiting.shift();
    if (bytes === undefined) break;
    clock.advance(roundTripMs + bytes / bytesPerMs);
    if (clock.now() < untilMs) probe.take();
  }
  return { asked, found, clock, probe };
}

function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-6 * expected, `${actual}, expected ${expected}`);
}

describe('LinkProbe', () => {
  test('asks for a mebibyte on a fast link, and finds what it carries and how late it is', () => {
    const { asked, found } = measure(1e9, { roundTripMs: 0.2, bytesPerMs: 125_000 });

    assert.deepEqual(asked, [4096, 65_536, 1_048_576, 1_048_576]);
    const [{ link, atMs }] = found as [(typeof found)[0]];
    assertNear(link.bytesPerSecond, 125e6);
    assertNear(link.roundTripMs, 0.2);
    assert.ok(atMs < 20, `${atMs} ms`);
  });

  test('asks for no more than fits into a moment on a slow link', () => {
    const { asked, found } = measure(1e9, { roundTripMs: 1, bytesPerMs: 125 });

    const [{ link, atMs }] = found as [(typeof found)[0]];
    assertNear(link.bytesPerSecond, 125e3);
    assertNear(link.roundTripMs, 1);
    assert.ok(atMs < 300, `${asked.join(' ')}: ${atMs} ms`);
  });

  test('asks for no more bytes than a sum has', () => {
    const { asked, found } = measure(100_000, { roundTripMs: 0.2, bytesPerMs: 125_000 });
    assert.deepEqual([asked, found.length], [[4096, 65_536, 65_536], 1]);

    const tiny = measure(16, { roundTripMs: 2, bytesPerMs: 1e6 });
    assert.deepEqual(tiny.asked, [16]);
    assertNear(tiny.found[0]!.link.roundTripMs, 2 + 16e-6);
  });

  test('is done after a second, with what little has come by then', () => {
    const { found } = measure(1e9, { roundTripMs: 0, bytesPerMs: 1 }, 1_000);

    const [{ link, atMs }] = found as [(typeof found)[0]];
    assert.equal(atMs, 1_000);
    assertNear(link.bytesPerSecond, 4096);
  });

  test('tells nobody when it is closed', () => {
    const clock = new ManualClock();
    const tell = (): void => assert.fail();
    const probe = new LinkProbe({ clock, sumBytes: 16, send: () => {}, onMeasured: tell });

    probe.close();
    probe.take();
    clock.advance(2_000);

    assert.equal(clock.pendingCount(), 0);
  });
});
