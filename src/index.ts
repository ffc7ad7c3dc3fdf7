/**
 * What programs may use of Lockstep: train from code, load data, read results. The commands are the
 * main door.
 */
export {
  ConfigError,
  DataError,
  LockstepError,
  NonFiniteError,
  RendezvousError,
} from './base/errors.ts';
export type { ErrorCode } from './base/errors.ts';
export { parseTrainConfig } from './config/parse-train-config.ts';
export type { TrainConfig } from './config/train-config.ts';
export { dataPlaces } from './job/data-source.ts';
export type { RunSummary } from './runs/run-summary.ts';
export { runTraining } from './launch/training-run.ts';
export type { TrainingRunOptions } from './launch/training-run.ts';
export type { RunEvent } from './metrics/events.ts';
