/** The computing half of a worker process: data, lanes, and what trains with them. */
import { asRuntimeError } from '../base/shortage.ts';
import type { DataPlaces } from '../data/dataset.ts';
import {
  type DatasetSpec,
  type loadRunData,
  parseDatasetSpec,
  type RunData,
} from '../job/data-source.ts';
import { parseOptimizerSpec } from '../optim/spec.ts';
import type { Job } from '../protocol/messages.ts';
import type { Device } from '../runtime/device.ts';
import type { Engine, EngineFactory, EngineHandlers, EngineProfile } from '../runtime/engine.ts';
import type { LanePool, LanePoolOptions } from '../runtime/lanes/lane-pool.ts';
import { checkMemory, workerBytes } from '../runtime/memory-need.ts';
import { placementText, placeNodes } from '../runtime/node-placement.ts';
import { strategyOf } from '../strategies/strategies.ts';

/** Loads the data of a job. */
export type DataLoader = (spec: DatasetSpec) => Promise<RunData>;

/** Makes a loader that loads once per spec: data survive a reconnection. */
export function cachedLoader(places: DataPlaces, load: typeof loadRunData): DataLoader {
  const loaded = new Map<string, Promise<RunData>>();
  return async (spec) => {
    const key = JSON.stringify(spec);
    const known = loaded.get(key) ?? load(spec, places);
    loaded.set(key, known);
    return known;
  };
}

/** What computes, and who is told how. */
export interface ComputeOptions {
  readonly device: Device;
  readonly lanes: number;
  readonly log: (line: string) => void;
  /** What this worker has in place of the ordinary parts: a fault test puts faulty ones there. */
  readonly parts?: { readonly laneProgram?: LanePoolOptions['laneProgram'] };
}

/** What an engine makes that outlives it. */
export interface EngineOwner {
  /** Takes the threads over; they end after the engine. */
  hold(pool: LanePool): void;
  /** Takes over something that goes on beside the work and ends by itself. */
  await(task: Promise<void>): void;
}

interface CompiledFiles {
  readonly train: Uint8Array;
  readonly evaluate: Uint8Array;
}

/** Makes the engines of a worker, as the strategy of each job wants them. */
export function engineFactory(
  options: ComputeOptions,
  loadData: DataLoader,
  owner: EngineOwner,
): EngineFactory {
  return (job, files, handlers) => ({
    whenReady(ready, failed) {
      makeEngine(job, files, handlers, options, loadData).then(
        ({ pool, engine, profile }) => {
          owner.hold(pool);
          ready(engine, profile);
          if (options.device !== 'cpu') owner.await(logPlacement(files.train, options));
        },
        (error: unknown) => failed(asRuntimeError(error)),
      );
    },
  });
}

async function makeEngine(
  job: Job,
  files: CompiledFiles,
  handlers: EngineHandlers,
  { device, lanes, parts }: ComputeOptions,
  loadData: DataLoader,
): Promise<{ pool: LanePool; engine: Engine; profile: EngineProfile }> {
  const { train, evaluate, digest: dataDigest } = await loadData(parseDatasetSpec(job.dataset));
  const optimizer = parseOptimizerSpec(job.optimizer);
  const strategy = strategyOf(job);
  const what = `this worker of ${lanes} lane${lanes === 1 ? '' : 's'}`;
  checkMemory(what, workerBytes(job, optimizer, lanes, true, strategy.extraRegions));
  const { pool, engine, numericsClass } = await strategy.createEngine({
    laneCount: lanes,
    device,
    job,
    optimizer,
    files,
    train,
    evaluate,
    handlers,
    ...(parts?.laneProgram !== undefined && { laneProgram: parts.laneProgram }),
  });
  return { pool, engine, profile: { dataDigest, numericsClass } };
}

/** Says which nodes of the step the device leaves to the CPU. */
async function logPlacement(step: Uint8Array, { device, log }: ComputeOptions): Promise<void> {
  const placement = await placeNodes(step, device);
  if (placement !== undefined) log(placementText(device, placement));
}
