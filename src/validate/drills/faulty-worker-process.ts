/**
 * A worker process with a fault in it: what `fault-test` starts in place of an honest worker. It is
 * composed of the same parts, some of them faulty, and takes the arguments of `lockstep worker`
 * after its order.
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { invariant, messageOf } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import { siblingModule } from '../../base/module-url.ts';
import { dataPlaces, loadJobData } from '../../job/data-source.ts';
import { onEndingSignals } from '../../launch/ending-signals.ts';
import { runWorkerProcess, type WorkerParts } from '../../launch/worker-process.ts';
import { parseAddress } from '../../transport/parse-address.ts';
import { type FaultOrder, injectionLine, parseFaultOrder } from './fault-order.ts';
import type { FaultyParts } from './faulty-lane.ts';

const OPTIONS = {
  join: { type: 'string' },
  rank: { type: 'string' },
  device: { type: 'string' },
  lanes: { type: 'string' },
  retry: { type: 'string' },
  'data-dir': { type: 'string' },
} as const;

const MAX_LOG_LINE = 8_000;

const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
const order = parseFaultOrder(positionals[0] ?? '');
const address = parseAddress(values.join ?? '');
invariant(address !== undefined, 'a faulty worker is started by fault-test, with an address');
const log = (line: string): void =>
  void process.stderr.write(`${new Date().toISOString()} ${printable(line, MAX_LOG_LINE)}\n`);
const controller = new AbortController();
onEndingSignals(() => controller.abort());

try {
  const reason = await runWorkerProcess({
    destination: { addresses: [address], protection: 'this-machine' },
    device: 'cpu',
    lanes: Number(values.lanes),
    rank: Number(values.rank),
    places: dataPlaces(values['data-dir'], process.env),
    retryMs: 1000 * Number(values.retry),
    log,
    signal: controller.signal,
    parts: faultyParts(order),
  });
  log(`done: ${reason}`);
} catch (error) {
  log(`ended: ${messageOf(error)}`);
  process.exitCode = 1;
}

function faultyParts({ fault, workerId }: FaultOrder): WorkerParts {
  const extra: FaultyParts = { order, clock: new Int32Array(new SharedArrayBuffer(4)) };
  return {
    ...(workerId !== undefined && { workerId }),
    laneProgram: { url: siblingModule(import.meta.url, 'faulty-lane-thread'), extra },
    ...(fault === 'clock_jump' && {
      heartbeatProgram: { url: siblingModule(import.meta.url, 'faulty-heartbeat-thread'), extra },
    }),
    ...(fault === 'wrong_data' && {
      loadData: async (spec, places) => {
        writeSync(2, injectionLine(fault, { step: 0, atMs: Date.now() }));
        return loadJobData({ ...spec, seed: spec.seed + 1 }, places);
      },
    }),
  };
}
