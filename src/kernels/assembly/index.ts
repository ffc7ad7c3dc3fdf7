export { addInt32, dequantize, quantizeAdd, sumOfSquares } from './gradients';
export { checksum, gradientChecksum } from './checksums';
export { adam, adamw, momentum, sgd } from './optimizers';
export { randomMask } from './random';
export { bytesToFloat32, copyBytes, maxAbs, normalise, scale, zeroBytes } from './vectors';
