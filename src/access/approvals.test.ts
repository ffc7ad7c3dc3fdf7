import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { RunEvent } from '../metrics/events.ts';
import { APPROVAL_MS, Approvals } from './approvals.ts';

/** A person who answers nothing by itself, and what became of those who asked. */
function world() {
  const clock = new ManualClock();
  const open = new Map<string, (isWelcome: boolean) => void>();
  const approvals = new Approvals(clock, {
    ask: ({ code }, answer) => {
      open.set(code, answer);
      return () => void open.delete(code);
    },
  });
  const events: RunEvent[] = [];
  const ends = new Map<string, string>();
  const request = (code: string, host = '10.0.0.5'): AbortController => {
    const gone = new AbortController();
    approvals.request({ peer: `${host}:4000`, holder: 'mini', code }, gone.signal, (refusal) =>
      ends.set(code, refusal?.reason ?? 'welcome'),
    );
    return gone;
  };
  const begin = (): void => approvals.begin((event) => events.push(event));
  return { clock, open, approvals, events, ends, request, begin };
}

describe('newcomers that wait for a person', () => {
  test('are asked about when the run is there to be joined, and told of as events', () => {
    const { clock, open, events, ends, request, begin } = world();
    request('000001');
    assert.equal(open.size, 0);

    begin();
    request('000002');
    clock.advance(2_000);
    open.get('000002')?.(true);
    open.get('000001')?.(false);

    assert.deepEqual([...ends.keys()], ['000002', '000001']);
    assert.equal(ends.get('000002'), 'welcome');
    assert.match(ends.get('000001') ?? '', /has turned it away/);
    assert.deepEqual(events.slice(2), [
      endOf('approved', { waitedMs: 2_000 }),
      endOf('denied', { waitedMs: 2_000 }),
    ]);
    assert.equal(clock.pendingCount(), 0);
  });

  test('do not wait for ever, nor for a run that is over', () => {
    const { clock, open, approvals, ends, events, request, begin } = world();
    begin();
    request('000001');

    clock.advance(APPROVAL_MS);
    request('000002');
    approvals.close();

    assert.match(ends.get('000001') ?? '', /nobody at the coordinator confirmed the code within 5/);
    assert.equal(ends.get('000002'), 'the run is over');
    assert.deepEqual(events[1], endOf('timed-out', { waitedMs: APPROVAL_MS }));
    assert.deepEqual([open.size, clock.pendingCount()], [0, 0]);
  });

  test('are so many at most, of one address and of all, and each has another code', () => {
    const { open, ends, request, begin } = world();
    begin();

    for (let code = 1; code <= 5; code++) request(String(code));
    request('1', '10.0.0.6');
    for (let code = 6; code < 40; code++) request(String(code), `10.0.1.${code}`);

    assert.match(ends.get('5') ?? '', /4 others of this address wait/);
    assert.match(ends.get('1') ?? '', /happens to have the same code/);
    assert.match(ends.get('39') ?? '', /32 others wait/);
    assert.equal(open.size, 32);
  });

  test('cannot have the person asked over and over', () => {
    const { clock, ends, request, begin } = world();
    begin();

    for (let code = 1; code <= 9; code++) request(String(code)).abort();
    assert.match(ends.get('9') ?? '', /has asked too often/);
    clock.advance(15_000);
    request('10').abort();
    assert.match(ends.get('10') ?? '', /went away before/);
  });
});

function endOf(became: string, more: object): object {
  return { kind: 'approval-ended', peer: '10.0.0.5:4000', holder: 'mini', became, ...more };
}
