import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { availableMemory, parseVmStat } from './available-memory.ts';

/** In the form that macOS prints, with numbers of our own. */
const VM_STAT = `Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                                1000.
Pages active:                            200000.
Pages inactive:                          150000.
Pages speculative:                         2000.
Pages throttled:                              0.
Pages wired down:                         90000.
Pages purgeable:                           5000.
"Translation faults":                 123456789.
`;

describe('parseVmStat', () => {
  test('counts what is free, was read ahead, or was not used for long, and no more', () => {
    assert.equal(parseVmStat(VM_STAT), 16_384 * (1_000 + 150_000 + 2_000));
  });

  test('says nothing of what vm_stat does not print', () => {
    assert.equal(parseVmStat(''), undefined);
    assert.equal(parseVmStat('vm_stat: command not found\n'), undefined);
    assert.equal(parseVmStat(VM_STAT.replace('Pages inactive', 'Pages idle')), undefined);
  });
});

describe('availableMemory', () => {
  test('is about what Node.js says, or more', () => {
    const told = process.availableMemory();

    const bytes = availableMemory();

    assert.ok(bytes > 0.5 * told && Number.isSafeInteger(bytes), `${bytes}, ${told}`);
  });
});
