/** Memory that this machine can still give. */
import { spawnSync } from 'node:child_process';

const VM_STAT_TIMEOUT_MS = 2_000;

/**
 * Bytes that processes can still get, caches that the system would give up included.
 *
 * On a Mac older versions of Node.js count only what holds nothing at all, a few hundred megabytes
 * after a day of work. So `vm_stat` is asked there, and the larger of both is taken.
 * Source: libuv's issue 3897, mended in pull request 4908.
 */
export function availableMemory(): number {
  const told = process.availableMemory();
  if (process.platform !== 'darwin') return told;
  const { stdout } = spawnSync('/usr/bin/vm_stat', {
    encoding: 'utf8',
    timeout: VM_STAT_TIMEOUT_MS,
    stdio: ['ignore', 'pipe', 'ignore'],
    windowsHide: true,
  });
  return Math.max(told, parseVmStat(stdout ?? '') ?? 0);
}

/**
 * What a Mac can give, from what `vm_stat` prints: pages that are free, that were read ahead, and
 * that were not used for long. Undefined when it prints something else.
 */
export function parseVmStat(text: string): number | undefined {
  const pageBytes = /page size of (\d+) bytes/.exec(text)?.[1];
  const pages = ['free', 'inactive', 'speculative'].map(
    (kind) => new RegExp(`^Pages ${kind}:\\s+(\\d+)\\.`, 'm').exec(text)?.[1],
  );
  if (pageBytes === undefined || pages.some((count) => count === undefined)) return undefined;
  return Number(pageBytes) * pages.reduce((sum, count) => sum + Number(count), 0);
}
