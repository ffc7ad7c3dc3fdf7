/** Turns an energy counter into the power of a run. */
import type { Moment } from './step-recorder.ts';

/** Something that counts energy. */
export interface PowerSource {
  /** Short name for the file: rapl, nvml, or what an estimate is made of. */
  readonly reader: string;
  /** Whose energy it is, in words. */
  readonly source: string;
  /** Whether it is computed from a number of the user's instead of measured. */
  readonly isEstimate: boolean;
  /**
   * Joules since any fixed moment, and a temperature where there is one; undefined as long as they
   * cannot be read.
   */
  read(nowMs: number): { readonly joules: number; readonly celsius: number | null } | undefined;
  close(): void;
}

/** Mean power between the reading before (or the beginning) and this one. */
interface PowerReading {
  /** Steps committed by then. */
  readonly step: number;
  readonly wallMs: number;
  readonly watts: number;
  readonly celsius: number | null;
}

/** Energy and power of the training part of a run. */
export interface PowerProfile {
  readonly reader: string;
  readonly source: string;
  readonly isEstimate: boolean;
  readonly began: Moment;
  readonly ended: Moment;
  readonly readings: readonly PowerReading[];
  readonly joules: number;
  readonly meanWatts: number;
  readonly meanCelsius: number | null;
}

/**
 * A run of any length keeps so many readings at most: when there are more, every other one is
 * merged into the next.
 */
const MAX_READINGS = 2048;

interface Counted {
  readonly at: Moment;
  readonly step: number;
  readonly joules: number;
  readonly celsius: number | null;
}

/** Readings of one power source over a run, thinned out when they become many. */
export class PowerMeter {
  readonly #source: PowerSource;
  #counts: Counted[] = [];

  constructor(source: PowerSource) {
    this.#source = source;
  }

  /** Reads the counter; the first call begins the measurement, the last one ends it. */
  sample(at: Moment, step: number): void {
    const read = this.#source.read(at.ms);
    if (read === undefined) return;
    this.#counts.push({ at, step, ...read });
    if (this.#counts.length > MAX_READINGS) {
      const last = this.#counts.length - 1;
      this.#counts = this.#counts.filter((_, i) => i % 2 === 0 || i === last);
    }
  }

  /** What was measured; undefined when the counter could not be read twice. */
  profile(): PowerProfile | undefined {
    const counts = this.#counts;
    const [first] = counts;
    const last = counts.at(-1);
    if (first === undefined || last === undefined || last.at.ms <= first.at.ms) return undefined;
    const { reader, source, isEstimate } = this.#source;
    const readings = counts.slice(1).map((count, i): PowerReading => {
      const before = counts[i] ?? first;
      const { step, celsius, at } = count;
      return { step, wallMs: at.wallMs, watts: wattsBetween(before, count), celsius };
    });
    const celsius = readings.map((reading) => reading.celsius).filter((value) => value !== null);
    return {
      reader,
      source,
      isEstimate,
      began: first.at,
      ended: last.at,
      readings,
      joules: last.joules - first.joules,
      meanWatts: wattsBetween(first, last),
      meanCelsius:
        celsius.length === 0
          ? null
          : celsius.reduce((sum, value) => sum + value, 0) / celsius.length,
    };
  }

  close(): void {
    this.#source.close();
  }
}

function wattsBetween(before: Counted, after: Counted): number {
  const seconds = (after.at.ms - before.at.ms) / 1000;
  return seconds > 0 ? (after.joules - before.joules) / seconds : 0;
}
