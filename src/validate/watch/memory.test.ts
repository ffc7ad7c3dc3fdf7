import assert from 'node:assert/strict';
import { totalmem } from 'node:os';
import { describe, test } from 'node:test';
import { MemoryWatch } from './memory.ts';

describe('MemoryWatch', () => {
  test('keeps the largest sum over coordinator and workers', () => {
    const bytes = new Map([
      [1, 100],
      [2, 10],
      [3, 20],
    ]);
    const watch = new MemoryWatch((id) => bytes.get(id), 1);
    watch.sample([2, 3]);
    bytes.set(2, 60);
    watch.sample([2, 3]);
    bytes.delete(3);
    watch.sample([2, 3]);

    const { peakBytes, percent, totalBytes, covers } = watch.use();
    assert.deepEqual(
      [peakBytes, totalBytes, covers],
      [180, totalmem(), 'coordinator and local workers'],
    );
    assert.equal(percent, (180 / totalmem()) * 100);
  });

  test('says that only the coordinator was seen where processes cannot be looked at', () => {
    const watch = new MemoryWatch(() => undefined);
    watch.sample([2, 3]);

    const { peakBytes, covers } = watch.use();
    assert.equal(covers, 'coordinator');
    assert.ok(peakBytes > 10_000_000, 'this process is larger than that');
  });

  test('sees as much memory of this very process as the system knows', () => {
    const watch = new MemoryWatch();
    watch.sample([]);

    const { peakBytes } = watch.use();
    const known = process.memoryUsage.rss();
    assert.ok(peakBytes > known / 2 && peakBytes < known * 2, `${peakBytes} bytes, and ${known}`);
  });
});
