/** A compute node's side of a connection that speaks the seed system's interface. */
import type { DataFolder } from './numeric/data-folder.ts';
import { seedRecipe } from './numeric/recipe.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { ComputeNode, NodeOutcome } from './compute-node.ts';
import {
  encodeException,
  encodeFileReply,
  encodeIdentity,
  type FileCall,
  parseFileCall,
  TRAIN_WITH_WEIGHTS,
  WHO_ARE_YOU,
} from './thrift/seed-interface.ts';
import { checkJobSpec, SEED_DEFAULTS } from './job-spec.ts';
import { type CallSurroundings, serveCalls } from './thrift/serve-calls.ts';
import type { ThriftMessage } from './thrift/thrift-values.ts';

/** The number of the policy under which a node may reject. */
const LOAD_BALANCING = 2;

/** Answers calls until the stream ends; the files that they name are those of `data`. */
export function serveSeedNode(
  stream: ByteStream,
  node: ComputeNode,
  data: DataFolder,
  around: CallSurroundings,
): void {
  serveCalls(stream, (call, signal) => answer(node, data, call, signal), around);
}

async function answer(
  node: ComputeNode,
  data: DataFolder,
  call: ThriftMessage,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (call.name === WHO_ARE_YOU) return encodeIdentity(call);
  if (call.name !== TRAIN_WITH_WEIGHTS)
    return encodeException(call, 'unknownMethod', `a compute node has no method ${call.name}`);
  const asked = parseFileCall(call);
  return encodeOutcome(call, asked, await train(node, data, asked, signal));
}

async function train(
  node: ComputeNode,
  data: DataFolder,
  call: FileCall,
  signal: AbortSignal,
): Promise<NodeOutcome> {
  const { shape, start, epochs, eta, path } = call;
  const { features, hidden, classes } = shape;
  checkJobSpec({ ...SEED_DEFAULTS, directory: path, epochs, eta, hidden, classes });
  const { rows } = await data.readFile(path, { name: path, classes, features });
  if (signal.aborted) return { kind: 'cancelled' };
  const task = { shape, recipe: seedRecipe(epochs, eta), start, seed: 0, round: 0, file: 0 };
  return new Promise((resolve) => {
    const giveUp = node.submit({ rows, task, mayReject: call.policy === LOAD_BALANCING }, resolve);
    signal.addEventListener('abort', giveUp, { once: true });
  });
}

function encodeOutcome(call: ThriftMessage, { shape }: FileCall, outcome: NodeOutcome): Uint8Array {
  if (outcome.kind === 'done') return encodeFileReply(call.sequence, outcome.result, shape);
  if (outcome.kind === 'rejected')
    return encodeFileReply(call.sequence, { trainingError: -1 }, shape);
  const reason = outcome.kind === 'failed' ? outcome.reason : outcome.kind;
  return encodeException(call, 'internalError', reason);
}
