import { LETTERS_KERNELS_BASE64 } from './kernel-bytes.ts';

/**
 * The exports of src/kernels/assembly/letters.ts; pointers are byte offsets, sizes count elements.
 */
export interface LettersKernels {
  multiply(
    c: number,
    a: number,
    b: number,
    rows: number,
    inner: number,
    columns: number,
    cStride: number,
    aStride: number,
  ): void;
  addTransposedProduct(
    c: number,
    a: number,
    b: number,
    rows: number,
    aColumns: number,
    bColumns: number,
  ): void;
  transpose(
    b: number,
    a: number,
    rows: number,
    columns: number,
    bStride: number,
    aStride: number,
  ): void;
  relu(x: number, rows: number, columns: number, stride: number): void;
  maskNegative(
    gradient: number,
    x: number,
    rows: number,
    columns: number,
    xStride: number,
    isStrict: number,
  ): void;
  softmaxResidual(
    logits: number,
    labels: number,
    rows: number,
    classes: number,
    stride: number,
    totals: number,
  ): void;
}

let compiled: WebAssembly.Module | undefined;

/** The kernels over `memory`. */
export function instantiateLettersKernels(memory: WebAssembly.Memory): LettersKernels {
  compiled ??= new WebAssembly.Module(Buffer.from(LETTERS_KERNELS_BASE64, 'base64'));
  return new WebAssembly.Instance(compiled, { env: { memory } })
    .exports as unknown as LettersKernels;
}
