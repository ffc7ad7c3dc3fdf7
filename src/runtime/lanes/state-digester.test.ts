import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { digestsOf, type StateDigests } from '../../state/digest.ts';
import { StateDigester } from './state-digester.ts';

const WEIGHTS = 1 << 18;

/** A digester of a state of 3 MiB, which it takes for a large one, and how to get digests. */
function createWorld(t: TestContext) {
  const state = new Uint8Array(new SharedArrayBuffer(12 * WEIGHTS)).fill(7);
  const failures: Error[] = [];
  const digester = new StateDigester(state, WEIGHTS, (error) => failures.push(error), 1 << 20);
  t.after(async () => {
    await digester.close();
    assert.deepEqual(failures, []);
  });
  const taken = async (): Promise<StateDigests> => new Promise((resolve) => digester.take(resolve));
  return { state, digester, taken };
}

describe('StateDigester', () => {
  test('takes the digests of a large state beside everything else', async (t) => {
    const { state, digester, taken } = createWorld(t);

    const both = Promise.all([taken(), taken()]);
    assert.equal(digester.isReading, true);

    const expected = digestsOf(state.slice(), WEIGHTS);
    assert.deepEqual(await both, [expected, expected]);
    assert.equal(digester.isReading, false);
  });

  test('has who would write to the state wait until it is read, and then takes that', async (t) => {
    const { state, digester, taken } = createWorld(t);
    const before = digestsOf(state.slice(), WEIGHTS);
    const first = taken();

    digester.settle();
    state[5] = 8;
    const second = taken();

    const after = digestsOf(state.slice(), WEIGHTS);
    assert.deepEqual([await first, await second], [before, after]);
    assert.notDeepEqual(before, after);
  });

  test('tells those of a small state at once', () => {
    const state = new Uint8Array(new SharedArrayBuffer(16));
    let told: StateDigests | undefined;

    new StateDigester(state, 2, () => {}).take((digests) => (told = digests));

    assert.deepEqual(told, digestsOf(state, 2));
  });
});
