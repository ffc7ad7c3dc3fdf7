/**
 * Optimizer steps that read the reduced int32 gradient: g = float32(total) * factor.
 * Every float32 operation is rounded on its own, in PyTorch's order (torch/optim,
 * _single_tensor_*), so replicas agree bit for bit on every processor. State below 2^-126 is stored
 * as 0: arithmetic on subnormals is up to fifteen times slower, and moments of dead units decay
 * into them.
 */
import { flushSubnormals, flushSubnormalsOfPositive, isEmpty } from './vector';

/** w -= learningRate * (g + weightDecay * w) */
export function sgd(
  weights: usize,
  total: usize,
  length: i32,
  factor: f32,
  learningRate: f32,
  weightDecay: f32,
): void {
  if (isEmpty(length)) return;
  const factors = f32x4.splat(factor);
  const rates = f32x4.splat(learningRate);
  const decays = f32x4.splat(weightDecay);
  const end = weights + ((<usize>length) << 2);
  do {
    const w = v128.load(weights);
    const raw = f32x4.mul(f32x4.convert_i32x4_s(v128.load(total)), factors);
    const g = f32x4.add(raw, f32x4.mul(decays, w));
    v128.store(weights, f32x4.sub(w, f32x4.mul(rates, g)));
    weights += 16;
    total += 16;
  } while (weights < end);
}

/**
 * velocity = momentum * velocity + (1 - dampening) * g; w -= learningRate * (nesterov ? g +
 * momentum * velocity : velocity)
 */
export function momentum(
  weights: usize,
  velocity: usize,
  total: usize,
  length: i32,
  factor: f32,
  learningRate: f32,
  momentum: f32,
  dampening: f64,
  nesterov: i32,
  weightDecay: f32,
): void {
  if (isEmpty(length)) return;
  const factors = f32x4.splat(factor);
  const rates = f32x4.splat(learningRate);
  const momentums = f32x4.splat(momentum);
  const shares = f32x4.splat(<f32>(1.0 - dampening));
  const decays = f32x4.splat(weightDecay);
  // The direction is `keep * g + gain * velocity`, chosen by mask: one loop serves both.
  const lookahead = i32x4.splat(nesterov ? -1 : 0);
  const end = weights + ((<usize>length) << 2);
  do {
    const w = v128.load(weights);
    const raw = f32x4.mul(f32x4.convert_i32x4_s(v128.load(total)), factors);
    const g = f32x4.add(raw, f32x4.mul(decays, w));
    const moved = f32x4.add(f32x4.mul(v128.load(velocity), momentums), f32x4.mul(shares, g));
    const buffer = flushSubnormals(moved);
    v128.store(velocity, buffer);
    const direction = v128.bitselect(f32x4.add(g, f32x4.mul(momentums, buffer)), buffer, lookahead);
    v128.store(weights, f32x4.sub(w, f32x4.mul(rates, direction)));
    weights += 16;
    velocity += 16;
    total += 16;
  } while (weights < end);
}

/**
 * m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g * g;
 * w -= stepSize * m / (sqrt(v) / biasCorrection2Sqrt + epsilon), with g + weightDecay * w for g.
 */
export function adam(
  weights: usize,
  m: usize,
  v: usize,
  total: usize,
  length: i32,
  factor: f32,
  beta1: f64,
  beta2: f64,
  epsilon: f64,
  stepSize: f64,
  biasCorrection2Sqrt: f64,
  weightDecay: f32,
): void {
  const epsilonCorrected = <f32>(epsilon * biasCorrection2Sqrt);
  const stepCorrected = <f32>(stepSize * biasCorrection2Sqrt);
  adamStep(
    weights,
    m,
    v,
    total,
    length,
    factor,
    beta1,
    beta2,
    epsilonCorrected,
    stepCorrected,
    weightDecay,
    1,
  );
}

/**
 * Adam with the decay beside the gradient: w *= decayFactor (that is 1 - learningRate *
 * weightDecay) first.
 */
export function adamw(
  weights: usize,
  m: usize,
  v: usize,
  total: usize,
  length: i32,
  factor: f32,
  beta1: f64,
  beta2: f64,
  epsilon: f64,
  stepSize: f64,
  biasCorrection2Sqrt: f64,
  decayFactor: f32,
): void {
  const epsilonCorrected = <f32>(epsilon * biasCorrection2Sqrt);
  const stepCorrected = <f32>(stepSize * biasCorrection2Sqrt);
  adamStep(
    weights,
    m,
    v,
    total,
    length,
    factor,
    beta1,
    beta2,
    epsilonCorrected,
    stepCorrected,
    0,
    decayFactor,
  );
}

/**
 * Both parts of PyTorch's quotient are multiplied by biasCorrection2Sqrt, which saves one of two
 * divisions (0.84 in place of 1.05 ns per element). The step size comes after the division: m of a
 * dead unit is tiny, and stepSize * m would be subnormal long before m itself is flushed.
 */
function adamStep(
  weights: usize,
  m: usize,
  v: usize,
  total: usize,
  length: i32,
  factor: f32,
  beta1: f64,
  beta2: f64,
  epsilonCorrected: f32,
  stepCorrected: f32,
  weightDecay: f32,
  decayFactor: f32,
): void {
  if (isEmpty(length)) return;
  const factors = f32x4.splat(factor);
  const decays = f32x4.splat(weightDecay);
  const decayFactors = f32x4.splat(decayFactor);
  const beta1s = f32x4.splat(<f32>beta1);
  const beta2s = f32x4.splat(<f32>beta2);
  const shares1 = f32x4.splat(<f32>(1.0 - beta1));
  const shares2 = f32x4.splat(<f32>(1.0 - beta2));
  const epsilons = f32x4.splat(epsilonCorrected);
  const steps = f32x4.splat(stepCorrected);
  const end = weights + ((<usize>length) << 2);
  do {
    const w = v128.load(weights);
    const raw = f32x4.mul(f32x4.convert_i32x4_s(v128.load(total)), factors);
    const g = f32x4.add(raw, f32x4.mul(decays, w));
    const first = flushSubnormals(
      f32x4.add(f32x4.mul(v128.load(m), beta1s), f32x4.mul(shares1, g)),
    );
    v128.store(m, first);
    const square = f32x4.mul(f32x4.mul(shares2, g), g);
    const second = flushSubnormalsOfPositive(f32x4.add(f32x4.mul(v128.load(v), beta2s), square));
    v128.store(v, second);
    const quotient = f32x4.div(first, f32x4.add(f32x4.sqrt(second), epsilons));
    v128.store(weights, f32x4.sub(f32x4.mul(w, decayFactors), f32x4.mul(steps, quotient)));
    weights += 16;
    m += 16;
    v += 16;
    total += 16;
  } while (weights < end);
}
