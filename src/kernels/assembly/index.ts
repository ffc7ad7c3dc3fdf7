export { addInt32, dequantize, quantizeAdd, sumOfSquares } from './gradients';
export { adam, adamw, momentum, sgd } from './optimizers';
export { bytesToFloat32, copyBytes, maxAbs, scale, zeroBytes } from './vectors';
