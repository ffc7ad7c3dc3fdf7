/** How busy this machine is. */
import { cpus, freemem, totalmem } from 'node:os';

/** Asking is not free where there are many cores. */
const LEAST_MS = 1_000;

/** Looks at the machine now and then. */
export class MachineUse {
  #times = timesOf();
  #lookedMs = 0;
  #percent = { cpu: 0, memory: 0 };

  /** Percent, 0 to 100, of its processor since the look before, and of its memory. */
  look(nowMs: number): { readonly cpu: number; readonly memory: number } {
    if (nowMs - this.#lookedMs < LEAST_MS) return this.#percent;
    const times = timesOf();
    const all = times.all - this.#times.all;
    const idle = times.idle - this.#times.idle;
    const cpu = all > 0 ? 100 * (1 - idle / all) : this.#percent.cpu;
    const memory = 100 * (1 - freemem() / totalmem());
    this.#percent = { cpu: bounded(cpu), memory: bounded(memory) };
    this.#times = times;
    this.#lookedMs = nowMs;
    return this.#percent;
  }
}

/** Milliseconds of all cores since the machine was started. */
function timesOf(): { readonly all: number; readonly idle: number } {
  const parts = cpus().map(({ times }) => times);
  const sum = (pick: (times: (typeof parts)[number]) => number): number =>
    parts.reduce((total, times) => total + pick(times), 0);
  return {
    all: sum(({ user, nice, sys, idle, irq }) => user + nice + sys + idle + irq),
    idle: sum(({ idle }) => idle),
  };
}

function bounded(percent: number): number {
  return Math.min(100, Math.max(0, Math.round(10 * percent) / 10));
}
