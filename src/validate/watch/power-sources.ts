/** Where the power of a run can be read on this machine: counters of the processor, or of a GPU. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { PowerSource } from './power-meter.ts';

/** Where Linux shows its devices. */
const SYSTEM_FOLDER = '/sys';

/** One energy counter of RAPL. */
interface Zone {
  readonly path: string;
  /** The counter starts again at 0 when it comes to this. */
  readonly rangeMicrojoules: number;
  lastMicrojoules: number;
}

/**
 * Reads RAPL: the energy of the processor packages and all that runs on them. Undefined where there
 * is no such counter or it may not be read, as in most virtual machines and for most users.
 */
export function raplSource(systemFolder: string = SYSTEM_FOLDER): PowerSource | undefined {
  const zones = packageZones(join(systemFolder, 'class/powercap'));
  if (zones.length === 0) return undefined;
  const thermometer = packageThermometer(join(systemFolder, 'class/thermal'));
  let joules = 0;
  return {
    reader: 'rapl',
    source:
      `RAPL, ${zones.length} processor package${zones.length === 1 ? '' : 's'}, all programs ` +
      'on them',
    isEstimate: false,
    read() {
      for (const zone of zones) {
        const now = numberIn(join(zone.path, 'energy_uj'));
        if (now === undefined) return undefined;
        const moved = now - zone.lastMicrojoules;
        joules += (moved < 0 ? moved + zone.rangeMicrojoules : moved) / 1e6;
        zone.lastMicrojoules = now;
      }
      const millidegrees = thermometer === undefined ? undefined : numberIn(thermometer);
      return { joules, celsius: millidegrees === undefined ? null : millidegrees / 1000 };
    },
    close: () => {},
  };
}

/** Packages only: what lies below them is counted in them, and `psys` counts them again. */
function packageZones(folder: string): Zone[] {
  return entriesOf(folder)
    .filter((name) => /^intel-rapl:\d+$/.test(name))
    .flatMap((name): Zone[] => {
      const path = join(folder, name);
      const lastMicrojoules = numberIn(join(path, 'energy_uj'));
      const rangeMicrojoules = numberIn(join(path, 'max_energy_range_uj'));
      const isPackage = textIn(join(path, 'name'))?.startsWith('package') === true;
      if (!isPackage || lastMicrojoules === undefined || rangeMicrojoules === undefined) return [];
      return [{ path, lastMicrojoules, rangeMicrojoules }];
    });
}

function packageThermometer(folder: string): string | undefined {
  const zone = entriesOf(folder).find(
    (name) => textIn(join(folder, name, 'type')) === 'x86_pkg_temp',
  );
  return zone === undefined ? undefined : join(folder, zone, 'temp');
}

const NVML_PROGRAM = 'nvidia-smi';
const NVML_INTERVAL_MS = 200;
const NVML_ARGUMENTS = [
  '--id=0',
  '--query-gpu=power.draw,temperature.gpu',
  '--format=csv,noheader,nounits',
  `--loop-ms=${NVML_INTERVAL_MS}`,
];
/** No line of nvidia-smi is longer. */
const MAX_LINE = 4096;

/**
 * Reads NVML by way of nvidia-smi, which runs until `close`: the first GPU of this machine and all
 * that runs on it.
 */
export function nvmlSource(program: string = NVML_PROGRAM): PowerSource {
  let latest: { watts: number; celsius: number | null } | undefined;
  let joules = 0;
  let lastMs: number | undefined;
  let rest = '';
  const child: ChildProcess = spawn(program, NVML_ARGUMENTS, {
    stdio: ['ignore', 'pipe', 'ignore'],
    windowsHide: true,
  });
  // No nvidia-smi: nothing is ever read.
  child.once('error', () => (latest = undefined));
  child.once('exit', () => (latest = undefined));
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(-MAX_LINE);
    const whole = lines.map(parseNvmlLine).filter((line) => line !== undefined);
    latest = whole.at(-1) ?? latest;
  });
  return {
    reader: 'nvml',
    source: 'NVML, the first GPU, all programs on it',
    isEstimate: false,
    read(nowMs) {
      if (latest === undefined) return undefined;
      joules += (latest.watts * (nowMs - (lastMs ?? nowMs))) / 1000;
      lastMs = nowMs;
      return { joules, celsius: latest.celsius };
    },
    close: () => child.kill('SIGKILL'),
  };
}

/** `71.52, 34` as watts and degrees; undefined for anything else, as `[N/A]`. */
export function parseNvmlLine(line: string): { watts: number; celsius: number | null } | undefined {
  const [watts, celsius] = line.split(',').map((cell) => cell.trim());
  if (watts === undefined || watts === '' || !Number.isFinite(Number(watts))) return undefined;
  const degrees = celsius === undefined || celsius === '' ? Number.NaN : Number(celsius);
  return { watts: Number(watts), celsius: Number.isFinite(degrees) ? degrees : null };
}

/** Watts of an idle machine, and degrees, in MiniCluster's formula. */
const IDLE_WATTS = 20;
const IDLE_CELSIUS = 35;
const LOAD_CELSIUS = 45;

/** Busy and all processor time of this machine so far, in milliseconds over all cores. */
export type ProcessorTimes = () => { readonly busyMs: number; readonly allMs: number };

/**
 * An estimate from the power that the user says the processor may draw: `20 + utilisation (tdp -
 * 20)` watts and `35 + 45 utilisation` degrees. The utilisation is measured, everything else is
 * MiniCluster's formula.
 */
export function estimateSource(
  tdpWatts: number,
  times: ProcessorTimes = processorTimes,
): PowerSource {
  let joules = 0;
  let last: { ms: number; busyMs: number; allMs: number } | undefined;
  let utilisation = 0;
  return {
    reader: 'estimate',
    source:
      `estimated from --tdp-watts ${tdpWatts} and the measured load of the processor; not ` +
      'measured',
    isEstimate: true,
    read(ms) {
      const now = { ms, ...times() };
      if (last !== undefined && now.allMs > last.allMs)
        utilisation = (now.busyMs - last.busyMs) / (now.allMs - last.allMs);
      const watts = IDLE_WATTS + utilisation * (tdpWatts - IDLE_WATTS);
      joules += (watts * (ms - (last?.ms ?? ms))) / 1000;
      last = now;
      return { joules, celsius: IDLE_CELSIUS + LOAD_CELSIUS * utilisation };
    },
    close: () => {},
  };
}

function processorTimes(): ReturnType<ProcessorTimes> {
  let busyMs = 0;
  let idleMs = 0;
  for (const { times } of cpus()) {
    busyMs += times.user + times.nice + times.sys + times.irq;
    idleMs += times.idle;
  }
  return { busyMs, allMs: busyMs + idleMs };
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return []; // There is none on this system.
  }
}

function textIn(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined; // Not there, or for root only.
  }
}

function numberIn(path: string): number | undefined {
  const text = textIn(path);
  return text === undefined || !/^-?\d+$/.test(text) ? undefined : Number(text);
}
