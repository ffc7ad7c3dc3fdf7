/** Processes that somebody else has started: which they are, and whether they live. */
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import type { CrewMember } from './journal-lines.ts';

/** Instead of when it started, of a process that is dead and not yet buried. */
const ENDED = 'ended';

/** Whether it lives is looked at so often. */
const LOOK_MS = 250;

/**
 * When a process started, as Linux counts, in which boot: no other has the same. Empty where nobody
 * knows, or it is gone.
 */
export function processStamp(processId: number): string {
  try {
    const stat = readFileSync(`/proc/${processId}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // One that is dead and not yet buried writes nothing.
    if (fields[0] === 'Z') return ENDED;
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return `${boot}.${fields[19]}`;
  } catch {
    return '';
  }
}

/** Whether the process is there, and the same; not where nobody knows. */
export function isAlive({ processId, stamp }: Pick<CrewMember, 'processId' | 'stamp'>): boolean {
  return stamp !== '' && stamp !== ENDED && processStamp(processId) === stamp;
}

/** As a child of this process is; `exit` tells that it is gone, and not how it ended. */
export class AdoptedProcess extends EventEmitter {
  readonly pid: number;
  exitCode: number | null = null;
  readonly signalCode = null;
  readonly #stamp: string;
  readonly #clock: Clock;

  constructor(pid: number, stamp: string, clock: Clock) {
    super();
    this.pid = pid;
    this.#stamp = stamp;
    this.#clock = clock;
    this.#lookAgain();
  }

  /** Sends it a signal, if it is there. */
  kill(signal?: NodeJS.Signals | number): boolean {
    const isThere = isAlive({ processId: this.pid, stamp: this.#stamp });
    return isThere && process.kill(this.pid, signal);
  }

  #lookAgain(): void {
    this.#clock.after(LOOK_MS, () => {
      if (isAlive({ processId: this.pid, stamp: this.#stamp })) return this.#lookAgain();
      this.exitCode = 1;
      this.emit('exit', 1, null);
    });
  }
}
