/** Which nodes of a graph a device computes, and which ONNX Runtime leaves to the CPU. */
import { runChildProgram } from './child-program.ts';
import type { Device } from './device.ts';

/** Numbers of nodes. Copies between CPU and GPU are not counted. */
export interface NodePlacement {
  readonly onDevice: number;
  /** Numbers of nodes by operator. */
  readonly onCpu: Readonly<Record<string, number>>;
}

const TIMEOUT_MS = 60_000;

/**
 * Loads `model` on a GPU in another process and reads the log; undefined when that tells nothing.
 */
export async function placeNodes(
  model: Uint8Array,
  device: Device,
): Promise<NodePlacement | undefined> {
  const { stderr } = await runChildProgram('node-placement-process', [device], model, TIMEOUT_MS);
  return parsePlacement(stderr);
}

const COPY = /^Memcpy(?:To|From)Host$/;

/**
 * What ONNX Runtime logs about placement at its most talkative; undefined when it is not in `log`.
 */
function parsePlacement(log: string): NodePlacement | undefined {
  const onCpu: Record<string, number> = {};
  let onDevice = 0;
  let provider: string | undefined;
  for (const line of log.split('\n')) {
    provider = /Node\(s\) placed on \[(\w+)\]/.exec(line)?.[1] ?? provider;
    const operator = /VerifyEachNodeIsAssignedToAnEp\] +(\w+) \(/.exec(line)?.[1];
    if (operator === undefined || provider === undefined || COPY.test(operator)) continue;
    if (provider === 'CPUExecutionProvider') onCpu[operator] = (onCpu[operator] ?? 0) + 1;
    else onDevice++;
  }
  return provider === undefined ? undefined : { onDevice, onCpu };
}

/** A placement in one line. */
export function placementText(device: Device, { onDevice, onCpu }: NodePlacement): string {
  const rest = Object.entries(onCpu).map(([operator, count]) =>
    count === 1 ? operator : `${count} ${operator}`,
  );
  const cpu = rest.length === 0 ? 'none' : rest.join(', ');
  return `${device} computes ${onDevice} nodes of the training step; left to the CPU: ${cpu}`;
}
