/**
 * The safetensors format (huggingface/safetensors): a
 * JSON table of tensors, then their bytes without holes.
 */
import { ShapeError } from '../base/errors.ts';

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
