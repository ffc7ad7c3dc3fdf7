/** This machine, measured for sharing work out: what `lockstep profile` writes. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, hostname, totalmem } from 'node:os';
import type { StepProfile } from '../../job/step-profile.ts';
import { VERSION } from '../../launch/software.ts';
import { availableMemory } from '../../data/available-memory.ts';
import { computeScore } from '../../plan/balance-policies.ts';
import type { Device } from '../../runtime/device.ts';
import { defaultLanes, type DeviceReport, listDevices } from '../../runtime/devices.ts';
import { measureBandwidth } from '../../runtime/measure-machine.ts';
import { gatherInterfaces } from './networks.ts';
import { outputOf } from './run-program.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** The machine itself, under the third seed system's names. */
interface SystemProfile {
  readonly hostname: string;
  readonly lockstep_version: string;
  readonly platform: string;
  readonly cpu_model: string;
  /** Null where the system does not tell. */
  readonly physical_cores: number | null;
  readonly logical_cores: number;
  readonly cpu_mhz: number;
  readonly ram_total_gb: number;
  readonly ram_available_gb: number;
  readonly memory_bandwidth_gbps: number;
  readonly interfaces: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly ip_address: string | null;
  /** Training steps that were asked for. */
  readonly training_steps: readonly StepProfile[];
}

/** Something that a worker can compute on, a processor included. */
interface DeviceProfile {
  readonly device_id: number;
  readonly device: Device;
  readonly name: string;
  readonly lanes: number;
  /** All lanes together; null where it was not measured. */
  readonly tflops: number | null;
  readonly memory_mb: number;
  readonly bandwidth_gbps: number;
  readonly clock_mhz: number;
  /** As `--load-balance-policy proportional` takes it; null where it was not measured. */
  readonly compute_score: number | null;
  /** What NVIDIA's driver tells, under its names. */
  readonly nvidia?: Readonly<Record<string, string>>;
}

/** All that is known of this machine. */
export interface NodeProfile {
  readonly hostname: string;
  readonly ip_address: string | null;
  readonly system: SystemProfile;
  /** Devices that work, the fastest first. */
  readonly gpus: readonly DeviceProfile[];
}

/** Profiles this machine; `isMeasured`: with benchmarks, which take a second or more. */
export async function profileMachine(
  isMeasured: boolean,
  steps: readonly StepProfile[] = [],
): Promise<NodeProfile> {
  const system = systemProfile(isMeasured ? measureBandwidth() : 0, steps);
  const [cards, reports] = [await nvidiaCards(), await devicesOf(isMeasured)];
  const gpus = reports
    .map((report): Omit<DeviceProfile, 'device_id'> => describe(report, system, cards))
    .toSorted((a, b) => (b.compute_score ?? 0) - (a.compute_score ?? 0))
    .map((device, i) => ({ device_id: i, ...device }));
  return { hostname: system.hostname, ip_address: system.ip_address, system, gpus };
}

async function devicesOf(isMeasured: boolean): Promise<readonly DeviceReport[]> {
  if (!isMeasured) return [{ device: 'cpu', title: 'CPU', isAvailable: true }];
  return (await listDevices()).filter(({ isAvailable }) => isAvailable);
}

function systemProfile(bandwidth: number, steps: readonly StepProfile[]): SystemProfile {
  const [cpu] = cpus();
  const interfaces = gatherInterfaces().map(({ name, addresses }) => ({ name, addresses }));
  return {
    hostname: hostname(),
    lockstep_version: VERSION,
    platform: `${process.platform} ${process.arch}`,
    cpu_model: cpu?.model.trim() ?? '',
    physical_cores: physicalCores(),
    logical_cores: availableParallelism(),
    cpu_mhz: Math.max(0, ...cpus().map(({ speed }) => speed)),
    ram_total_gb: rounded(totalmem() / GIB),
    ram_available_gb: rounded(availableMemory() / GIB),
    memory_bandwidth_gbps: rounded(bandwidth),
    interfaces,
    ip_address: interfaces[0]?.addresses[0] ?? null,
    training_steps: steps,
  };
}

/** Of all sockets; Linux tells in a file. */
function physicalCores(): number | null {
  if (process.platform !== 'linux') return null;
  const text = readFileSync('/proc/cpuinfo', 'utf8');
  const cores = text.split('\n\n').flatMap((part) => {
    const socket = /^physical id\s*: (\d+)$/m.exec(part)?.[1];
    const core = /^core id\s*: (\d+)$/m.exec(part)?.[1];
    return socket === undefined || core === undefined ? [] : [`${socket} ${core}`];
  });
  return cores.length === 0 ? null : new Set(cores).size;
}

function describe(
  { device, title, gigaflops }: DeviceReport,
  system: SystemProfile,
  cards: readonly Readonly<Record<string, string>>[],
): Omit<DeviceProfile, 'device_id'> {
  const lanes = defaultLanes(device);
  const [card] = device === 'cuda' ? cards : [];
  const memory_mb = numberOr(card?.['memory.total'], Math.round((system.ram_total_gb * GIB) / MIB));
  const clock_mhz = numberOr(card?.['clocks.max.sm'], system.cpu_mhz);
  const tflops = gigaflops === undefined ? null : rounded((lanes * gigaflops) / 1_000);
  const bandwidth = system.memory_bandwidth_gbps;
  const speed = { memory: memory_mb / 1_024, bandwidth, clock: clock_mhz / 1_000 };
  return {
    device,
    name: card?.['name'] ?? (device === 'cpu' ? system.cpu_model : title),
    lanes,
    tflops,
    memory_mb,
    bandwidth_gbps: bandwidth,
    clock_mhz,
    compute_score: tflops === null ? null : computeScore({ teraflops: tflops, ...speed }),
    ...(card !== undefined && { nvidia: card }),
  };
}

const QUESTIONS = [
  ...['name', 'memory.total', 'clocks.max.sm', 'compute_cap', 'driver_version'],
  ...['pcie.link.gen.max', 'pcie.link.width.max'],
];

/** What NVIDIA's driver says of its cards, if there is one. */
async function nvidiaCards(): Promise<readonly Readonly<Record<string, string>>[]> {
  const query = [`--query-gpu=${QUESTIONS.join(',')}`, '--format=csv,noheader,nounits'];
  const output = await outputOf('nvidia-smi', query);
  const lines = output?.split('\n').filter((line) => line !== '') ?? [];
  return lines.map((line) =>
    Object.fromEntries(line.split(', ').map((value, i) => [QUESTIONS[i] ?? '', value.trim()])),
  );
}

/** Drivers say `[N/A]`, too. */
function numberOr(text: string | undefined, otherwise: number): number {
  const value = Number(text ?? Number.NaN);
  return Number.isFinite(value) ? value : otherwise;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
