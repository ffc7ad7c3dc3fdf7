/**
 * The gradient cases of what resizes images, of normalisation per sample and of index equations,
 * for gradient-cases.contract.ts.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { Attributes, ValueInfo } from '../graph/values/types.ts';

type Draw = (g: GraphBuilder, a: ValueInfo, b: ValueInfo, c: ValueInfo) => ValueInfo;

const instanceNormalization: Draw = (g, a, b, c) =>
  g.apply('InstanceNormalization', [a, b, c], { epsilon: 0.1 });

const depthToSpace =
  (mode: string): Draw =>
  (g, a) =>
    g.apply('DepthToSpace', [a], { blocksize: 2, mode });

const byScales =
  (attributes: Attributes, ...scales: number[]): Draw =>
  (g, a) =>
    g.apply('Resize', [a, undefined, g.constant('float32', [scales.length], scales)], attributes);

const bySizes =
  (attributes: Attributes, ...sizes: number[]): Draw =>
  (g, a) =>
    g.apply('Resize', [a, undefined, undefined, g.ints(sizes)], attributes);

const NEAREST = {
  mode: 'nearest',
  nearest_mode: 'floor',
  coordinate_transformation_mode: 'asymmetric',
};
const LINEAR = { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' };
const CORNERS = { mode: 'linear', coordinate_transformation_mode: 'align_corners' };

const einsum =
  (equation: string): Draw =>
  (g, a, b) =>
    // Without an operand b there is none in the call.
    g.apply('Einsum', equation.includes(',') ? [a, b] : [a], { equation });

export const IMAGE_CASES: Readonly<Record<string, Draw>> = {
  InstanceNormalization: instanceNormalization,
  'InstanceNormalization one axis': instanceNormalization,
  DepthToSpace: depthToSpace('CRD'),
  'DepthToSpace depth first': depthToSpace('DCR'),
  'Resize nearest': byScales(NEAREST, 1, 1, 2, 2),
  'Resize nearest by sizes': bySizes(NEAREST, 2, 2, 5, 7),
  'Resize nearest smaller': bySizes(NEAREST, 2, 2, 2, 3),
  'Resize nearest one axis': byScales(NEAREST, 1, 1, 3),
  'Resize linear': byScales(LINEAR, 1, 1, 2, 2),
  'Resize linear by a fraction': byScales(LINEAR, 1, 1, 1.7, 1.7),
  'Resize linear smaller': bySizes(LINEAR, 2, 2, 2, 3),
  'Resize linear corners': bySizes(CORNERS, 2, 2, 5, 7),
  'Resize linear one axis': bySizes(LINEAR, 2, 2, 5),
  'Resize linear three axes': byScales(LINEAR, 1, 1, 2, 2, 2),
  'Einsum product': einsum('ij,jk->ki'),
  'Einsum heads': einsum('bqhd,bkhd->bhqk'),
  'Einsum weight': einsum('bsi,hio->bhso'),
  'Einsum outer and sums': einsum('ij,kl->ik'),
  'Einsum inner': einsum('ij,ji->'),
  'Einsum ellipsis': einsum('...i, ij -> ...j'),
  'Einsum implied': einsum('ij,kj'),
  'Einsum transpose': einsum('abc->cab'),
  'Einsum sums': einsum('abc->ca'),
  'Einsum sum of all': einsum('ab->'),
};
