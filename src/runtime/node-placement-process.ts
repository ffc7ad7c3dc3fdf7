/**
 * The process that loads a graph (stdin) on a device
 * (argument) and lets ONNX Runtime log where its nodes are.
 */
import { buffer } from 'node:stream/consumers';
import { invariant } from '../base/errors.ts';
import { DEVICES } from './device.ts';
import { onnxRuntime } from './onnx-runtime.ts';
import { sessionOptions } from './session.ts';

const device = DEVICES.find((name) => name === process.argv[2]);
invariant(device !== undefined, 'the device is the argument');
const model = await buffer(process.stdin);
await onnxRuntime().InferenceSession.create(model, {
  ...sessionOptions(model, device),
  logSeverityLevel: 0,
});
// At once: a driver may crash while its threads are shut down.
process.exit(0);
