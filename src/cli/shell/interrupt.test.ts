import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { interruptible } from './interrupt.ts';

describe('work that signals end', () => {
  // Two processes cannot show this surely: the first signal may have ended one before the second.
  test('goes on ending in good order when a closed terminal says so twice', (t) => {
    const exit = t.mock.method(process, 'exit', () => undefined as never);
    let interruptions = 0;
    const { signal, release } = interruptible(() => interruptions++);
    t.after(release);

    process.emit('SIGHUP', 'SIGHUP');
    process.emit('SIGHUP', 'SIGHUP');

    assert.deepEqual([signal.aborted, interruptions, exit.mock.callCount()], [true, 1, 0]);
  });

  test('ends at once when a second Ctrl-C comes', (t) => {
    const exit = t.mock.method(process, 'exit', () => undefined as never);
    const { release } = interruptible();
    t.after(release);

    process.emit('SIGINT', 'SIGINT');
    assert.equal(exit.mock.callCount(), 0);
    process.emit('SIGINT', 'SIGINT');

    assert.deepEqual(exit.mock.calls[0]?.arguments, [130]);
  });

  test('leaves signals alone afterwards', () => {
    const before = process.listenerCount('SIGTERM');
    const { release } = interruptible();
    assert.equal(process.listenerCount('SIGTERM'), before + 1);

    release();

    assert.equal(process.listenerCount('SIGTERM'), before);
  });
});
