/** A task: one file of one round, for one compute node. And what can become of it. */
import type { NetworkShape } from './numeric/parameters.ts';
import type { Recipe } from './numeric/recipe.ts';
import type { Scaling } from './numeric/scaling.ts';
import type { Mode } from './job-spec.ts';

/** A task as links get it: data, recipe, and the parameters to start from. */
export interface Task {
  /** Unique at this coordinator; the same for every copy of the task. */
  readonly id: number;
  readonly mode: Mode;
  readonly round: number;
  /** Its index in the order of the directory. */
  readonly file: number;
  readonly name: string;
  /** Where a node of the seed system looks for it: absolute. */
  readonly path: string;
  /** What is in the file, and its SHA-256: a node that has it is not sent it again. */
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly rowCount: number;
  readonly shape: NetworkShape;
  readonly recipe: Recipe;
  /** Null: inputs as they are in the file. */
  readonly scaling: Scaling | null;
  readonly start: Float64Array;
  readonly seed: number;
}

/** How a copy of a task ended at a node that is still there. */
export type TaskOutcome =
  | TaskResult
  /** The node is too busy; or with a reason, something that it will not get over. */
  | { readonly kind: 'rejected'; readonly reason?: string }
  /** We asked for that. */
  | { readonly kind: 'cancelled' }
  /** The parameters became infinite or NaN. */
  | { readonly kind: 'diverged' }
  /** The node cannot do it, or gave what cannot be used. */
  | { readonly kind: 'failed'; readonly reason: string };

/** What training on the file gave: parameters at the end minus those at the start, and times. */
export interface TaskResult {
  readonly kind: 'done';
  readonly delta: Float64Array;
  readonly trainingError: number;
  /** Measured by the node: training; injected load. Null when it does not say. */
  readonly computeMs: number | null;
  readonly injectedMs: number | null;
}

/** A compute node as the coordinator reaches it; one task at a time. */
export interface NodeLink {
  /** Whether it can do tasks of this mode. */
  can(mode: Mode): boolean;
  /** `done` is called once, unless the link is lost before. */
  run(task: Task, done: (outcome: TaskOutcome) => void): void;
  /** Asks for the running task to be given up; its outcome still comes. */
  cancel(): void;
  /** Lets go of the node; nobody is told anything any more. */
  close(): void;
}

/** Who is told how the link to a node fares. */
export interface NodeLinkHandlers {
  onReady(): void;
  /** Told once; the link is over, and a task that was running with it. */
  onLost(reason: string): void;
}
