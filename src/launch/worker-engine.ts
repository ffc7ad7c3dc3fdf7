/** The computing half of a worker process: data, lanes, and what trains with them. */
import { DataError, ProtocolError } from '../base/errors.ts';
import { asRuntimeError } from '../base/shortage.ts';
import { featureCountOf, targetCountOf } from '../data/dataset.ts';
import { parseDatasetSpec } from '../job/data-source.ts';
import type { FoundData, JobData, WantedData } from '../job/worker-data.ts';
import { parseOptimizerSpec } from '../optim/spec.ts';
import { computeScore } from '../plan/balance-policies.ts';
import type { Job } from '../protocol/messages.ts';
import type { Device } from '../runtime/device.ts';
import type {
  DataSupply,
  Engine,
  EngineFactory,
  EngineHandlers,
  EngineProfile,
} from '../runtime/engine.ts';
import type { LanePool, LanePoolOptions } from '../runtime/lanes/lane-pool.ts';
import { checkMemory, microBatchBytes, workerBytes } from '../runtime/memory-need.ts';
import { measureMachine } from '../runtime/measure-machine.ts';
import { placementText, placeNodes } from '../runtime/node-placement.ts';
import { type OwnStep, rewriteStep } from '../runtime/received-step.ts';
import { strategyOf } from '../strategies/strategies.ts';

/** Finds the data of a job. */
export type DataLoader = (wanted: WantedData) => Promise<FoundData>;

/** What computes, and who is told how. */
export interface ComputeOptions {
  readonly device: Device;
  readonly lanes: number;
  /** How many times slower than it could be; 1 if absent. */
  readonly throttle?: number;
  readonly log: (line: string) => void;
  /** What this worker has in place of the ordinary parts: a fault test puts faulty ones there. */
  readonly parts?: { readonly laneProgram?: LanePoolOptions['laneProgram'] };
}

/** What an engine makes that outlives it. */
export interface EngineOwner {
  /** May tell others how the lanes with these shared words are doing. */
  watchLanes(words: Int32Array): void;
  /** Takes the threads over; they end after the engine. */
  hold(pool: LanePool): void;
  /** Takes over something that goes on beside the work and ends by itself. */
  await(task: Promise<void>): void;
}

/** The compiled steps as they came. */
interface ReceivedFiles {
  readonly train: Uint8Array;
  readonly evaluate: Uint8Array;
}

/** The same as this worker wrote them: no session is made from anything else. */
interface OwnSteps {
  readonly train: OwnStep;
  readonly evaluate: OwnStep;
}

/** Makes the engines of a worker, as the strategy of each job wants them. */
export function engineFactory(
  options: ComputeOptions,
  loadData: DataLoader,
  owner: EngineOwner,
): EngineFactory {
  return (job, files, handlers, supply) => ({
    whenReady(ready, failed) {
      const onStarted = (words: Int32Array): void => owner.watchLanes(words);
      const load = async (): Promise<FoundData> => findData(job, loadData, supply);
      makeEngine(job, files, handlers, { ...options, onStarted }, load).then(
        ({ pool, engine, profile, steps, isKept }) => {
          owner.hold(pool);
          if (isKept !== undefined) owner.await(isKept);
          ready(engine, profile);
          if (options.device !== 'cpu') owner.await(logPlacement(steps.train.file, options));
        },
        (error: unknown) => failed(asRuntimeError(error)),
      );
    },
  });
}

/** An engine with what it was made of. */
interface MadeEngine {
  readonly pool: LanePool;
  readonly engine: Engine;
  readonly profile: EngineProfile;
  readonly steps: OwnSteps;
  /** What came from the coordinator is kept then. */
  readonly isKept?: Promise<void>;
}

async function findData(
  { dataset, dataDigest: digest }: Job,
  loadData: DataLoader,
  supply: DataSupply | undefined,
): Promise<FoundData> {
  return loadData({ spec: parseDatasetSpec(dataset), digest, supply });
}

/** What a job asks for is looked at before anything is done for it: memory, steps, data. */
async function makeEngine(
  job: Job,
  received: ReceivedFiles,
  handlers: EngineHandlers,
  options: ComputeOptions & Pick<LanePoolOptions, 'onStarted'>,
  load: () => Promise<FoundData>,
): Promise<MadeEngine> {
  const { device, lanes: laneCount, throttle, parts, onStarted } = options;
  const steps = stepsOf(job, received, laneCount);
  const { data, coming } = await load();
  checkData(job, data);
  const { train, evaluate, digest: dataDigest } = data;
  const { pool, engine, numericsClass, trialMs } = await strategyOf(job).createEngine({
    laneCount,
    ...(throttle !== undefined && { throttle }),
    device,
    job,
    optimizer: parseOptimizerSpec(job.optimizer),
    files: { train: steps.train.file, evaluate: steps.evaluate.file },
    train,
    evaluate,
    ...(coming && { areHere: coming }),
    handlers,
    ...(onStarted !== undefined && { onStarted }),
    ...(parts?.laneProgram !== undefined && { laneProgram: parts.laneProgram }),
  });
  const came = await coming;
  const score = job.isProfiled === true ? computeScore(await measureMachine(options)) : undefined;
  const profile = {
    ...{ dataDigest, numericsClass },
    ...(trialMs !== undefined && { trialMs }),
    ...(score !== undefined && { computeScore: score }),
    ...(came && { received: came.received }),
  };
  return { pool, engine, profile, steps, ...(came && { isKept: came.isKept }) };
}

/** The steps of a job that this machine has the memory for. */
function stepsOf(job: Job, { train, evaluate }: ReceivedFiles, laneCount: number): OwnSteps {
  const what = `this worker of ${laneCount} lane${laneCount === 1 ? '' : 's'}`;
  const optimizer = parseOptimizerSpec(job.optimizer);
  const stateBytes = workerBytes(job, optimizer, laneCount, true, strategyOf(job).extraRegions);
  checkMemory(what, stateBytes);
  const steps = {
    train: rewriteStep(train, 'training'),
    evaluate: rewriteStep(evaluate, 'evaluation'),
  };
  const laneBytes = microBatchBytes(job, [steps.train, steps.evaluate]);
  checkMemory(what, stateBytes + laneCount * laneBytes);
  return steps;
}

/**
 * Throws unless this worker's data are those of the job. Nothing has been computed from them then,
 * and nothing of them is told: who asks for data must know them.
 */
function checkData(job: Job, { train, digest }: JobData): void {
  if (digest !== job.dataDigest)
    throw new DataError(
      `data of the run: expected SHA-256 ${job.dataDigest}, found ${digest}: the data of this ` +
        "worker differ from the coordinator's. Give both the same files.",
    );
  const [features, targets] = [featureCountOf(train), targetCountOf(train)];
  if (features !== job.featureCount || targets !== job.targetCount)
    throw new ProtocolError(
      `job: expected samples of ${features} features and ${targets} targets, as the data have, ` +
        `got ${job.featureCount} and ${job.targetCount}`,
    );
}

/** Says which nodes of the step the device leaves to the CPU. */
async function logPlacement(step: Uint8Array, { device, log }: ComputeOptions): Promise<void> {
  const placement = await placeNodes(step, device);
  if (placement !== undefined) log(placementText(device, placement));
}
