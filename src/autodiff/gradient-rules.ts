/** The gradient rule of every operator. An operator without an entry does not compile. */
import type { OperatorName } from '../graph/operators/operators.ts';
import { ACTIVATION_RULES } from './activation-rules.ts';
import { CONVOLUTION_RULES } from './convolution-rules.ts';
import { ELEMENTWISE_RULES } from './elementwise-rules.ts';
import type { GradientRule, NotDifferentiable } from './gradient-rule.ts';
import { MATRIX_RULES } from './matrix-rules.ts';
import { NORMALIZATION_RULES } from './normalization-rules.ts';
import { POOLING_RULES } from './pooling-rules.ts';
import { REDUCTION_RULES } from './reduction-rules.ts';
import { SELECTION_RULES } from './selection-rules.ts';
import { SHAPE_RULES } from './shape-rules.ts';

/** Rules by operator, put together from the tables of the families. */
export const GRADIENT_RULES: { readonly [K in OperatorName]: GradientRule | NotDifferentiable } = {
  ...ACTIVATION_RULES,
  ...CONVOLUTION_RULES,
  ...ELEMENTWISE_RULES,
  ...MATRIX_RULES,
  ...NORMALIZATION_RULES,
  ...POOLING_RULES,
  ...REDUCTION_RULES,
  ...SELECTION_RULES,
  ...SHAPE_RULES,
};
