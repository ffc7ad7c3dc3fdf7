/**
 * The safetensors format (huggingface/safetensors): a
 * JSON table of tensors, then their bytes without holes.
 */
import { LockstepError, messageOf, ShapeError } from '../base/errors.ts';

/** A float32 tensor to be written. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * One file with all `tensors` in their order, in pieces: the head, then views of the data, which
 * must not change before they are used. `metadata` values are plain strings.
 */
export function encodeSafetensors(
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>>,
): readonly Uint8Array[] {
  const table: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const { name, shape, data } of tensors) {
    const count = shape.reduce((a, b) => a * b, 1);
    if (count !== data.length)
      throw new ShapeError(
        `safetensors: ${name}: shape [${shape.join(', ')}] needs ${count} elements, got ` +
          `${data.length}`,
      );
    table[name] = { dtype: 'F32', shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const json = JSON.stringify(table);
  const headerLength = Math.ceil(json.length / 8) * 8;
  const header = new TextEncoder().encode(json.padEnd(headerLength));
  const head = new Uint8Array(8 + header.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(header.length), true);
  head.set(header, 8);
  const bytes = tensors.map(
    ({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  );
  return [head, ...bytes];
}

/** What a file of tensors holds. */
export interface ReadTensors {
  readonly tensors: readonly (Pick<NamedTensor, 'name' | 'shape'> & {
    /** Float32, little-endian: a view of the file. */
    readonly bytes: Uint8Array;
  })[];
  readonly metadata: Readonly<Record<string, string>>;
}

const MAX_HEADER_BYTES = 64 << 20;

/** Where the tensors of a file begin, by its first eight bytes; undefined if it cannot be one. */
export function dataStartOf(head: Uint8Array): number | undefined {
  if (head.length < 8) return undefined;
  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  return length <= MAX_HEADER_BYTES ? 8 + Number(length) : undefined;
}

/**
 * The tensors of `file`, which messages call `name`, in the order of their bytes.
 *
 * Throws: CHECKPOINT_INVALID unless they are float32, fit their shapes, and lie one after the other
 *         without holes up to the end of the file.
 */
export function decodeSafetensors(file: Uint8Array, name: string): ReadTensors {
  const fail = (reason: string): never => {
    throw new LockstepError('CHECKPOINT_INVALID', `reading ${name}: ${reason}`, { file: name });
  };
  const start = dataStartOf(file);
  if (start === undefined || start > file.length)
    return fail('expected the length of a table of tensors at its beginning');
  const { __metadata__: metadata = {}, ...entries } = tableIn(file.subarray(8, start), fail);
  const placed = Object.entries(entries).map(([tensor, entry]) => {
    const { dtype, shape, data_offsets: offsets } = entry as Readonly<Record<string, unknown>>;
    if (dtype !== 'F32') return fail(`${tensor}: expected float32, found ${String(dtype)}`);
    if (!areCounts(shape) || !areCounts(offsets))
      return fail(`${tensor}: expected a shape and two offsets`);
    const [from = 0, to = 0] = offsets;
    if (to - from !== 4 * shape.reduce((a, b) => a * b, 1))
      return fail(`${tensor}: its shape and its bytes do not fit`);
    return { name: tensor, shape, from, to };
  });
  placed.sort((a, b) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const tensor of placed) {
    if (tensor.from !== end) return fail(`${tensor.name}: expected it at byte ${end} of the data`);
    end = tensor.to;
  }
  if (start + end !== file.length)
    return fail(`expected ${start + end} bytes, found ${file.length}`);
  return {
    metadata: metadata as Readonly<Record<string, string>>,
    tensors: placed.map(({ name: tensor, shape, from, to }) => ({
      name: tensor,
      shape,
      bytes: file.subarray(start + from, start + to),
    })),
  };
}

function tableIn(
  header: Uint8Array,
  fail: (reason: string) => never,
): Readonly<Record<string, unknown>> {
  try {
    const table: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header));
    const isTable = typeof table === 'object' && table !== null && !Array.isArray(table);
    if (isTable && Object.values(table).every((entry) => typeof entry === 'object' && entry))
      return table as Readonly<Record<string, unknown>>;
  } catch (error) {
    return fail(`its table of tensors is damaged: ${messageOf(error)}`);
  }
  return fail('expected a table of tensors');
}

function areCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((one) => Number.isSafeInteger(one) && one >= 0);
}
