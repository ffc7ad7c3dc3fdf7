/**
 * What programs may use of Lockstep: train, follow, stop, read results, predict. Every export is
 * shown in docs/api.md; everything else may change without notice.
 */
export { resume, train } from './api/train.ts';
export type { Run, TrainOptions } from './api/train.ts';
export type { TrainSettings } from './api/settings.ts';
export type { RunEvents } from './api/run-events.ts';
export { readRun } from './api/read-run.ts';
export type { LoggedEvent, RunRecord } from './api/read-run.ts';
export { loadModel } from './api/load-model.ts';
export type { Prediction, TrainedModel } from './api/load-model.ts';
export type { ModelInput } from './api/pack-samples.ts';
export { loadData } from './api/load-data.ts';
export type { Samples, TrainingData } from './api/load-data.ts';
export {
  ConfigError,
  DataError,
  DivergedError,
  GraphError,
  LockstepError,
  NonFiniteError,
  PeerLostError,
  RendezvousError,
  RuntimeError,
  ShapeError,
} from './base/errors.ts';
export type { ConfigIssue, ErrorCode, ErrorContext } from './base/errors.ts';
export type { TrainConfig } from './config/train-config.ts';
export type { RunEvent } from './metrics/events.ts';
export type { RunSummary } from './runs/run-summary.ts';
