/** A compute node's side of a connection that speaks the seed system's interface. */
import { messageOf, ProtocolError } from '../base/errors.ts';
import { readLettersFile } from './numeric/letters-directory.ts';
import { seedRecipe } from './numeric/recipe.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { ComputeNode, NodeOutcome } from './compute-node.ts';
import {
  encodeException,
  encodeFileReply,
  type FileCall,
  IS_LOCKSTEP,
  parseFileCall,
  TRAIN_WITH_WEIGHTS,
  WHO_ARE_YOU,
} from './thrift/seed-interface.ts';
import { checkJobSpec, SEED_DEFAULTS } from './job-spec.ts';
import { ThriftDecoder } from './thrift/thrift-decoder.ts';
import { encodeThrift } from './thrift/thrift-encoder.ts';
import type { ThriftMessage } from './thrift/thrift-values.ts';

/** The number of the policy under which a node may reject. */
const LOAD_BALANCING = 2;

/** Answers calls until the stream ends. */
export function serveSeedNode(stream: ByteStream, node: ComputeNode): void {
  const open = new Set<() => void>();
  const decoder = new ThriftDecoder((call) => {
    answer(stream, node, call, open).catch((error: unknown) =>
      stream.write(encodeException(call, 'internalError', messageOf(error))),
    );
  });
  stream.handlers = {
    onBytes: (bytes) => decoder.push(bytes),
    onClose: () => {
      for (const giveUp of open) giveUp();
    },
  };
}

async function answer(
  stream: ByteStream,
  node: ComputeNode,
  call: ThriftMessage,
  open: Set<() => void>,
): Promise<void> {
  if (call.kind !== 'call')
    throw new ProtocolError(`expected a call, got a message of kind ${call.kind}`);
  if (call.name === WHO_ARE_YOU) {
    stream.write(
      encodeThrift('reply', call.name, call.sequence, {
        0: { type: 'string', value: IS_LOCKSTEP },
      }),
    );
  } else if (call.name === TRAIN_WITH_WEIGHTS) {
    const asked = parseFileCall(call);
    const outcome = await train(node, asked, open);
    stream.write(encodeOutcome(call, asked, outcome));
  } else
    stream.write(
      encodeException(call, 'unknownMethod', `a compute node has no method ${call.name}`),
    );
}

async function train(
  node: ComputeNode,
  call: FileCall,
  open: Set<() => void>,
): Promise<NodeOutcome> {
  const { shape, start, epochs, eta, path } = call;
  const { features, hidden, classes } = shape;
  checkJobSpec({ ...SEED_DEFAULTS, directory: path, epochs, eta, hidden, classes });
  const { rows } = await readLettersFile(path, { name: path, classes, features });
  const task = { shape, recipe: seedRecipe(epochs, eta), start, seed: 0, round: 0, file: 0 };
  return new Promise((resolve) => {
    // A rejection comes before `submit` returns.
    let giveUp = (): void => {};
    const end = (): void => giveUp();
    open.add(end);
    giveUp = node.submit({ rows, task, mayReject: call.policy === LOAD_BALANCING }, (outcome) => {
      open.delete(end);
      resolve(outcome);
    });
  });
}

function encodeOutcome(call: ThriftMessage, { shape }: FileCall, outcome: NodeOutcome): Uint8Array {
  if (outcome.kind === 'done') return encodeFileReply(call.sequence, outcome.result, shape);
  if (outcome.kind === 'rejected')
    return encodeFileReply(call.sequence, { trainingError: -1 }, shape);
  const reason = outcome.kind === 'failed' ? outcome.reason : outcome.kind;
  return encodeException(call, 'internalError', reason);
}
