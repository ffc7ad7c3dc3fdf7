/** How much of the machine's memory a run holds. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

/** Memory that was held, and what of. */
export interface MemoryUse {
  /** The largest sum of resident memory that was seen. */
  readonly peakBytes: number;
  readonly totalBytes: number;
  /** 0..100. */
  readonly percent: number;
  /** Whose memory it is. `coordinator`: that of other processes cannot be seen here. */
  readonly covers: 'coordinator and local workers' | 'coordinator';
}

/**
 * Resident bytes of a process; undefined when it has ended, or where processes cannot be looked at.
 */
export type ResidentBytes = (processId: number) => number | undefined;

/** Remembers the most memory that the processes of a run held at once. */
export class MemoryWatch {
  readonly #residentBytes: ResidentBytes;
  readonly #ownId: number;
  #peakBytes = 0;
  #seesWorkers = false;

  constructor(residentBytes: ResidentBytes = residentBytesOf, ownId: number = process.pid) {
    this.#residentBytes = residentBytes;
    this.#ownId = ownId;
  }

  /** Looks at this process and those of the workers. What they share counts for each of them. */
  sample(workerIds: Iterable<number>): void {
    let bytes = this.#residentBytes(this.#ownId) ?? process.memoryUsage.rss();
    for (const id of workerIds) {
      const resident = this.#residentBytes(id);
      if (resident === undefined) continue;
      this.#seesWorkers = true;
      bytes += resident;
    }
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
  }

  use(): MemoryUse {
    const totalBytes = totalmem();
    return {
      peakBytes: this.#peakBytes,
      totalBytes,
      percent: (this.#peakBytes / totalBytes) * 100,
      covers: this.#seesWorkers ? 'coordinator and local workers' : 'coordinator',
    };
  }
}

function residentBytesOf(processId: number): number | undefined {
  try {
    const [, kibibytes] =
      /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8')) ?? [];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined; // It has ended, or this is no Linux.
  }
}
