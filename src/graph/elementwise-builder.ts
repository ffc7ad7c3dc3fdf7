/** Builds graphs: the operators on elements. */
import { GraphAssembly } from './graph-assembly.ts';
import type { ElementType, ValueInfo } from './values/types.ts';

/** The methods of a GraphBuilder that work on elements one by one, with broadcasting. */
export class ElementwiseBuilder extends GraphAssembly {
  add(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Add', [a, b]);
  }

  sub(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Sub', [a, b]);
  }

  mul(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Mul', [a, b]);
  }

  div(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Div', [a, b]);
  }

  neg(x: ValueInfo): ValueInfo {
    return this.apply('Neg', [x]);
  }

  sign(x: ValueInfo): ValueInfo {
    return this.apply('Sign', [x]);
  }

  relu(x: ValueInfo): ValueInfo {
    return this.apply('Relu', [x]);
  }

  tanh(x: ValueInfo): ValueInfo {
    return this.apply('Tanh', [x]);
  }

  sigmoid(x: ValueInfo): ValueInfo {
    return this.apply('Sigmoid', [x]);
  }

  /** max(0, min(1, alpha x + beta)) */
  hardSigmoid(x: ValueInfo, alpha: number, beta: number): ValueInfo {
    return this.apply('HardSigmoid', [x], { alpha, beta });
  }

  exp(x: ValueInfo): ValueInfo {
    return this.apply('Exp', [x]);
  }

  log(x: ValueInfo): ValueInfo {
    return this.apply('Log', [x]);
  }

  sqrt(x: ValueInfo): ValueInfo {
    return this.apply('Sqrt', [x]);
  }

  erf(x: ValueInfo): ValueInfo {
    return this.apply('Erf', [x]);
  }

  sin(x: ValueInfo): ValueInfo {
    return this.apply('Sin', [x]);
  }

  cos(x: ValueInfo): ValueInfo {
    return this.apply('Cos', [x]);
  }

  abs(x: ValueInfo): ValueInfo {
    return this.apply('Abs', [x]);
  }

  /** base ^ exponent; the exponent may be a number. */
  pow(base: ValueInfo, exponent: ValueInfo | number): ValueInfo {
    return this.apply('Pow', [
      base,
      typeof exponent === 'number' ? this.scalar(exponent) : exponent,
    ]);
  }

  /** min <= y <= max; Infinity stands for no bound. */
  clip(x: ValueInfo, min: number, max: number): ValueInfo {
    const [low, high] = [min, max].map((bound) =>
      Number.isFinite(bound) ? this.scalar(bound) : undefined,
    );
    return this.apply(
      'Clip',
      high === undefined ? (low === undefined ? [x] : [x, low]) : [x, low, high],
    );
  }

  min(...values: readonly ValueInfo[]): ValueInfo {
    return this.apply('Min', values);
  }

  max(...values: readonly ValueInfo[]): ValueInfo {
    return this.apply('Max', values);
  }

  /**
   * x times the share of a standard normal distribution below x; `tanh` is GPT-2's approximation.
   *
   * Source: Hendrycks & Gimpel 2016.
   */
  gelu(x: ValueInfo, approximation: 'none' | 'tanh' = 'none'): ValueInfo {
    return this.within('Gelu', () => {
      if (approximation === 'none') {
        const sides = this.erf(this.div(x, this.scalar(Math.SQRT2)));
        return this.mul(this.mul(x, this.add(sides, this.scalar(1))), this.scalar(0.5));
      }
      // sqrt(2 / pi) (x + 0.044715 x^3), without Pow: its square serves the gradient, too.
      const scale = Math.sqrt(2 / Math.PI);
      const square = this.mul(this.mul(x, x), this.scalar(0.044715 * scale));
      const inner = this.mul(x, this.add(square, this.scalar(scale)));
      return this.mul(this.mul(x, this.add(this.tanh(inner), this.scalar(1))), this.scalar(0.5));
    });
  }

  equal(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Equal', [a, b]);
  }

  greater(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Greater', [a, b]);
  }

  less(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Less', [a, b]);
  }

  where(condition: ValueInfo, ifTrue: ValueInfo, ifFalse: ValueInfo): ValueInfo {
    return this.apply('Where', [condition, ifTrue, ifFalse]);
  }

  cast(x: ValueInfo, to: ElementType): ValueInfo {
    return x.type === to ? x : this.apply('Cast', [x], { to });
  }
}
