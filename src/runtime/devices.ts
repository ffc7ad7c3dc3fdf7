/**
 * What this machine offers to compute on: found out by trying, each device in a process of its own.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { ConfigError } from '../base/errors.ts';
import { runChildProgram } from './child-program.ts';
import {
  AUTO_DEVICES,
  type Device,
  DEVICE_NEEDS,
  type DeviceName,
  DEVICES,
  GPU_LANES,
} from './device.ts';
import type { ProbeResult } from './device-probe.ts';
import { binariesFolder, onnxRuntime } from './onnx-runtime.ts';

/** A device as it was found on this machine. */
export interface DeviceReport {
  readonly device: Device;
  readonly title: string;
  readonly isAvailable: boolean;
  /** 10^9 multiplications and additions per second of a matrix product, on one lane. */
  readonly gigaflops?: number;
  /** Files of graphics drivers that were loaded for it, where the system tells. */
  readonly drivers?: readonly string[];
  /** Why it is not available. */
  readonly reason?: string;
  /** What to do to get it, if there is something. */
  readonly advice?: string;
}

/** A driver that has not answered by then hangs. Starting the first shader may take seconds. */
const PROBE_TIMEOUT_MS = 30_000;

/** Reports on the devices, one after the other, so that their speeds can be compared. */
export async function listDevices(
  devices: readonly Device[] = DEVICES,
): Promise<readonly DeviceReport[]> {
  const reports: DeviceReport[] = [];
  for (const device of devices) reports.push(await reportOn(device));
  return reports;
}

/** What a worker was told to compute on, decided. */
export interface DeviceChoice {
  readonly device: Device;
  /** Why `auto` came to it, in one line. */
  readonly note?: string;
}

/**
 * The devices to use for those asked for, in the same order. `cpu` is taken at its word; others are
 * tried; `auto` is the fastest that works.
 *
 * Throws: ConfigError that says what is missing and what to do when a device asked for does not
 *         work.
 */
export async function chooseDevices(
  wanted: readonly DeviceName[],
): Promise<readonly DeviceChoice[]> {
  const candidates = wanted.includes('auto') ? AUTO_DEVICES : [];
  const needed = DEVICES.filter(
    (device) => candidates.includes(device) || (device !== 'cpu' && wanted.includes(device)),
  );
  const reports = await listDevices(needed);
  return wanted.map((name) => {
    if (name === 'auto')
      return fastest(reports.filter(({ device }) => candidates.includes(device)));
    const report = reports.find(({ device }) => device === name);
    if (report?.isAvailable === false) throw unavailable(report);
    return { device: name };
  });
}

/** Lanes that a worker gets when nobody says: all cores, or one on a GPU. */
export function defaultLanes(device: Device): number {
  return device === 'cpu' ? availableParallelism() : GPU_LANES;
}

function unavailable({ device, reason, advice }: DeviceReport): ConfigError {
  const next = advice === undefined ? '' : ` To get it: ${advice}.`;
  return new ConfigError(
    `--device ${device}: not available on this machine: ${reason ?? 'unknown'}.${next} ` +
      '`lockstep devices` lists what is; --device auto takes the fastest of them.',
    [{ path: '--device', expected: 'a device of this machine', got: device }],
  );
}

/** The device with which a worker is fastest, all its lanes together. */
export function fastest(
  reports: readonly DeviceReport[],
  lanesOf: (device: Device) => number = defaultLanes,
): DeviceChoice {
  const speedOf = ({ device, gigaflops = 0 }: DeviceReport): number => gigaflops * lanesOf(device);
  const works = reports
    .filter(({ isAvailable }) => isAvailable)
    .toSorted((a, b) => speedOf(b) - speedOf(a));
  const best = works[0]?.device ?? 'cpu';
  const speeds = works.map((report) => `${report.device} ${speedText(speedOf(report))}`);
  // Only those that could be had: nobody misses DirectML on Linux.
  const missing = reports.filter(({ isAvailable, advice }) => !isAvailable && advice !== undefined);
  const reasons = missing.map(({ device, reason }) => `no ${device}: ${reason}`);
  return { device: best, note: `device auto: ${best} (${[...speeds, ...reasons].join('; ')})` };
}

/** GFLOP/s as 104 or 0.39. */
export function speedText(gigaflops: number): string {
  return `${gigaflops < 10 ? gigaflops.toPrecision(2) : Math.round(gigaflops)} GFLOP/s`;
}

async function reportOn(device: Device): Promise<DeviceReport> {
  const { title, elsewhere, advice: general } = DEVICE_NEEDS[device];
  const offered = onnxRuntime().listSupportedBackends();
  if (!offered.some(({ name }) => name === device)) {
    const reason = `${elsewhere}; this is ${process.platform} ${process.arch}`;
    return { device, title, isAvailable: false, reason };
  }
  const result = await probe(device);
  if (result.kind === 'works') {
    const { gigaflops, drivers } = result;
    return { device, title, isAvailable: true, gigaflops, ...(drivers.length > 0 && { drivers }) };
  }
  const steps = [general[process.platform], device === 'cuda' ? cudaFilesAdvice() : undefined];
  const advice = steps.filter((step) => step !== undefined).join(', and ');
  return {
    device,
    title,
    isAvailable: false,
    reason: result.reason,
    ...(advice !== '' && { advice }),
  };
}

const CUDA_FILE = 'libonnxruntime_providers_cuda.so';

/** The command that fetches ONNX Runtime's CUDA files; its npm package does not hold them. */
function cudaFilesAdvice(): string | undefined {
  const binaries = binariesFolder();
  if (binaries === undefined || existsSync(join(binaries, CUDA_FILE))) return undefined;
  const script = relative(process.cwd(), join(binaries, '../../../../script/install.js'));
  return `ONNX Runtime's own CUDA files with \`node ${script} --onnxruntime-node-install=cuda12\``;
}

async function probe(device: Device): Promise<ProbeResult> {
  const program = 'device-probe-process';
  const { stdout, stderr, failure } = await runChildProgram(
    program,
    [device],
    NOTHING,
    PROBE_TIMEOUT_MS,
  );
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined)
    return { kind: 'fails', reason: `its driver ${failure ?? 'says nothing'}` };
  const result = JSON.parse(line) as ProbeResult;
  return result.kind === 'works'
    ? result
    : { kind: 'fails', reason: plainReason(result.reason, stderr) };
}

const NOTHING = new Uint8Array(0);

/** Stands in ONNX Runtime's errors between the source line that refused and what it says. */
const ASSERTION = ' was false. ';

/** Why a session could not be made, without source lines; a missing library is in the log. */
export function plainReason(reason: string, log: string): string {
  const missing = /(\S+): cannot open shared object file/.exec(log)?.[1];
  if (missing !== undefined)
    return `the library ${missing.slice(missing.lastIndexOf('/') + 1)} is not there`;
  return (reason.split(ASSERTION).at(-1) ?? reason).trim().replace(/\.$/, '');
}
