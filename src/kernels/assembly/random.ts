/**
 * Counter-based random numbers, four Philox4x32-10 blocks side by side: lane j of the counters is
 * block j.
 * Source: Salmon et al. 2011; word for word what base/random.ts gives.
 */

const MULTIPLIER_0: i32 = 0xd2511f53;
const MULTIPLIER_1: i32 = 0xcd9e8d57;
const WEYL_0: i32 = 0x9e3779b9;
const WEYL_1: i32 = 0xbb67ae85;

/**
 * target[i] = word(i) < threshold ? 0 : kept, as unsigned numbers, where word(i) is word i % 4 of
 * the block with counter (firstBlock + i / 4, a, b, 0) and key (key0, key1). Traps unless `length`
 * is a multiple of 16.
 */
export function randomMask(
  target: usize,
  length: i32,
  key0: i32,
  key1: i32,
  a: i32,
  b: i32,
  firstBlock: i32,
  threshold: u32,
  kept: f32,
): void {
  if (length & 15) unreachable();
  if (length == 0) return;
  const multipliers0 = i32x4.splat(MULTIPLIER_0);
  const multipliers1 = i32x4.splat(MULTIPLIER_1);
  const keptLanes = f32x4.splat(kept);
  const thresholds = i32x4.splat(threshold);
  const keys0 = i32x4.splat(key0);
  const keys1 = i32x4.splat(key1);
  const weyls0 = i32x4.splat(WEYL_0);
  const weyls1 = i32x4.splat(WEYL_1);
  const as = i32x4.splat(a);
  const bs = i32x4.splat(b);
  let blocks = i32x4.add(i32x4.splat(firstBlock), i32x4(0, 1, 2, 3));
  const end = target + ((<usize>length) << 2);
  do {
    let c0 = blocks;
    let c1 = as;
    let c2 = bs;
    let c3 = i32x4.splat(0);
    let k0 = keys0;
    let k1 = keys1;
    for (let round = 0; round < 10; round++) {
      const even0 = i64x2.extmul_low_i32x4_u(c0, multipliers0);
      const odd0 = i64x2.extmul_high_i32x4_u(c0, multipliers0);
      const even1 = i64x2.extmul_low_i32x4_u(c2, multipliers1);
      const odd1 = i64x2.extmul_high_i32x4_u(c2, multipliers1);
      const low0 = v128.shuffle<i32>(even0, odd0, 0, 2, 4, 6);
      const high0 = v128.shuffle<i32>(even0, odd0, 1, 3, 5, 7);
      const low1 = v128.shuffle<i32>(even1, odd1, 0, 2, 4, 6);
      const high1 = v128.shuffle<i32>(even1, odd1, 1, 3, 5, 7);
      c0 = v128.xor(v128.xor(high1, c1), k0);
      c1 = low1;
      c2 = v128.xor(v128.xor(high0, c3), k1);
      c3 = low0;
      k0 = i32x4.add(k0, weyls0);
      k1 = i32x4.add(k1, weyls1);
    }
    // Words of one block lie in one lane of four vectors: transposed, they are neighbours.
    const m0 = maskOf(c0, thresholds, keptLanes);
    const m1 = maskOf(c1, thresholds, keptLanes);
    const m2 = maskOf(c2, thresholds, keptLanes);
    const m3 = maskOf(c3, thresholds, keptLanes);
    const m01 = v128.shuffle<i32>(m0, m1, 0, 4, 1, 5);
    const m23 = v128.shuffle<i32>(m2, m3, 0, 4, 1, 5);
    const n01 = v128.shuffle<i32>(m0, m1, 2, 6, 3, 7);
    const n23 = v128.shuffle<i32>(m2, m3, 2, 6, 3, 7);
    v128.store(target, v128.shuffle<i64>(m01, m23, 0, 2));
    v128.store(target, v128.shuffle<i64>(m01, m23, 1, 3), 16);
    v128.store(target, v128.shuffle<i64>(n01, n23, 0, 2), 32);
    v128.store(target, v128.shuffle<i64>(n01, n23, 1, 3), 48);
    blocks = i32x4.add(blocks, i32x4.splat(4));
    target += 64;
  } while (target < end);
}

/** kept where words >= threshold, else 0. */
function maskOf(words: v128, thresholds: v128, kept: v128): v128 {
  return v128.and(kept, i32x4.ge_u(words, thresholds));
}
