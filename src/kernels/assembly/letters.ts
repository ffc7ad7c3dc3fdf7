/**
 * A network with one hidden layer in float64, for the letters system: matrix products on tiles of
 * rows, and what lies between them. A module of its own (src/letters/numeric/kernel-bytes.ts),
 * since training elsewhere needs none of it.
 *
 * Pointers are byte offsets. A matrix is row-major; `stride` is the distance of its rows in
 * elements. The numbers of rows and columns that a product writes, and that it reads transposed,
 * are multiples of 4. Every operation is rounded on its own and sums run over rising indices, so
 * that results have the same bits everywhere.
 */

/** c [rows, columns] = a [rows, inner] b [inner, columns]. */
export function multiply(
  c: usize,
  a: usize,
  b: usize,
  rows: i32,
  inner: i32,
  columns: i32,
  cStride: i32,
  aStride: i32,
): void {
  const aBytes = (<usize>aStride) << 3;
  const bBytes = (<usize>columns) << 3;
  const cBytes = (<usize>cStride) << 3;
  for (let row = 0; row < rows; row += 4) {
    for (let column: usize = 0; column < bBytes; column += 32) {
      let c00 = f64x2.splat(0);
      let c01 = f64x2.splat(0);
      let c10 = f64x2.splat(0);
      let c11 = f64x2.splat(0);
      let c20 = f64x2.splat(0);
      let c21 = f64x2.splat(0);
      let c30 = f64x2.splat(0);
      let c31 = f64x2.splat(0);
      let a0 = a;
      let from = b + column;
      for (let p = 0; p < inner; p++) {
        const b0 = v128.load(from);
        const b1 = v128.load(from, 16);
        const x0 = v128.load_splat<f64>(a0);
        c00 = f64x2.add(c00, f64x2.mul(x0, b0));
        c01 = f64x2.add(c01, f64x2.mul(x0, b1));
        const x1 = v128.load_splat<f64>(a0 + aBytes);
        c10 = f64x2.add(c10, f64x2.mul(x1, b0));
        c11 = f64x2.add(c11, f64x2.mul(x1, b1));
        const x2 = v128.load_splat<f64>(a0 + 2 * aBytes);
        c20 = f64x2.add(c20, f64x2.mul(x2, b0));
        c21 = f64x2.add(c21, f64x2.mul(x2, b1));
        const x3 = v128.load_splat<f64>(a0 + 3 * aBytes);
        c30 = f64x2.add(c30, f64x2.mul(x3, b0));
        c31 = f64x2.add(c31, f64x2.mul(x3, b1));
        a0 += 8;
        from += bBytes;
      }
      const to = c + column;
      v128.store(to, c00);
      v128.store(to, c01, 16);
      v128.store(to + cBytes, c10);
      v128.store(to + cBytes, c11, 16);
      v128.store(to + 2 * cBytes, c20);
      v128.store(to + 2 * cBytes, c21, 16);
      v128.store(to + 3 * cBytes, c30);
      v128.store(to + 3 * cBytes, c31, 16);
    }
    a += 4 * aBytes;
    c += 4 * cBytes;
  }
}

/** c [aColumns, bColumns] += aᵀ b, with a [rows, aColumns] and b [rows, bColumns]. */
export function addTransposedProduct(
  c: usize,
  a: usize,
  b: usize,
  rows: i32,
  aColumns: i32,
  bColumns: i32,
): void {
  const aBytes = (<usize>aColumns) << 3;
  const bBytes = (<usize>bColumns) << 3;
  for (let i: usize = 0; i < aBytes; i += 32) {
    for (let j: usize = 0; j < bBytes; j += 32) {
      const to = c + j;
      let c00 = v128.load(to);
      let c01 = v128.load(to, 16);
      let c10 = v128.load(to + bBytes);
      let c11 = v128.load(to + bBytes, 16);
      let c20 = v128.load(to + 2 * bBytes);
      let c21 = v128.load(to + 2 * bBytes, 16);
      let c30 = v128.load(to + 3 * bBytes);
      let c31 = v128.load(to + 3 * bBytes, 16);
      let left = a + i;
      let right = b + j;
      for (let row = 0; row < rows; row++) {
        const b0 = v128.load(right);
        const b1 = v128.load(right, 16);
        const x0 = v128.load_splat<f64>(left);
        c00 = f64x2.add(c00, f64x2.mul(x0, b0));
        c01 = f64x2.add(c01, f64x2.mul(x0, b1));
        const x1 = v128.load_splat<f64>(left, 8);
        c10 = f64x2.add(c10, f64x2.mul(x1, b0));
        c11 = f64x2.add(c11, f64x2.mul(x1, b1));
        const x2 = v128.load_splat<f64>(left, 16);
        c20 = f64x2.add(c20, f64x2.mul(x2, b0));
        c21 = f64x2.add(c21, f64x2.mul(x2, b1));
        const x3 = v128.load_splat<f64>(left, 24);
        c30 = f64x2.add(c30, f64x2.mul(x3, b0));
        c31 = f64x2.add(c31, f64x2.mul(x3, b1));
        left += aBytes;
        right += bBytes;
      }
      v128.store(to, c00);
      v128.store(to, c01, 16);
      v128.store(to + bBytes, c10);
      v128.store(to + bBytes, c11, 16);
      v128.store(to + 2 * bBytes, c20);
      v128.store(to + 2 * bBytes, c21, 16);
      v128.store(to + 3 * bBytes, c30);
      v128.store(to + 3 * bBytes, c31, 16);
    }
    c += 4 * bBytes;
  }
}

/** b [columns, rows] = aᵀ; a [rows, columns] and b have strides. */
export function transpose(
  b: usize,
  a: usize,
  rows: i32,
  columns: i32,
  bStride: i32,
  aStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const value = load<f64>(a + ((<usize>(row * aStride + column)) << 3));
      store<f64>(b + ((<usize>(column * bStride + row)) << 3), value);
    }
  }
}

/** x[i] = max(x[i], 0) on `columns` of every row. */
export function relu(x: usize, rows: i32, columns: i32, stride: i32): void {
  const zero = f64x2.splat(0);
  for (let row = 0; row < rows; row++) {
    for (let i: usize = 0; i < (<usize>columns) << 3; i += 16) {
      v128.store(x + i, f64x2.pmax(zero, v128.load(x + i)));
    }
    x += (<usize>stride) << 3;
  }
}

/** gradient[i] = 0 where x[i] < 0, or with `isStrict` (0 or 1) where x[i] <= 0. */
export function maskNegative(
  gradient: usize,
  x: usize,
  rows: i32,
  columns: i32,
  xStride: i32,
  isStrict: i32,
): void {
  const zero = f64x2.splat(0);
  for (let row = 0; row < rows; row++) {
    for (let i: usize = 0; i < (<usize>columns) << 3; i += 16) {
      const value = v128.load(x + i);
      const stays = isStrict ? f64x2.gt(value, zero) : f64x2.ge(value, zero);
      v128.store(gradient + i, v128.and(v128.load(gradient + i), stays));
    }
    gradient += (<usize>columns) << 3;
    x += (<usize>xStride) << 3;
  }
}

/**
 * Turns logits [rows, classes] into one-hot(label) - softmax, in place; columns from `classes` to
 * `stride` become 0. `totals` is { cross-entropy, rows that are classified wrong } in float64; both
 * are added to.
 */
export function softmaxResidual(
  logits: usize,
  labels: usize,
  rows: i32,
  classes: i32,
  stride: i32,
  totals: usize,
): void {
  let crossEntropy = load<f64>(totals);
  let wrong = load<f64>(totals, 8);
  for (let row = 0; row < rows; row++) {
    const label = <usize>load<u8>(labels + row);
    const best = argMax(logits, classes);
    const most = load<f64>(logits + (best << 3));
    let sum: f64 = 0;
    for (let c: usize = 0; c < <usize>classes; c++) {
      const value = Math.exp(load<f64>(logits + (c << 3)) - most);
      store<f64>(logits + (c << 3), value);
      sum += value;
    }
    for (let c: usize = 0; c < <usize>classes; c++) {
      store<f64>(logits + (c << 3), -(load<f64>(logits + (c << 3)) / sum));
    }
    const ofLabel = logits + (label << 3);
    const probability = -load<f64>(ofLabel);
    crossEntropy -= Math.log(probability + 1e-6);
    store<f64>(ofLabel, 1 - probability);
    if (best !== label) wrong += 1;
    for (let c: usize = classes; c < <usize>stride; c++) store<f64>(logits + (c << 3), 0);
    logits += (<usize>stride) << 3;
  }
  store<f64>(totals, crossEntropy);
  store<f64>(totals, wrong, 8);
}

function argMax(logits: usize, classes: i32): usize {
  let best: usize = 0;
  let most = load<f64>(logits);
  for (let c: usize = 1; c < <usize>classes; c++) {
    const value = load<f64>(logits + (c << 3));
    if (value > most) {
      most = value;
      best = c;
    }
  }
  return best;
}
