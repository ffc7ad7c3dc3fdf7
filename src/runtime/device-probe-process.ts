/**
 * The process that tries one device: the device is
 * the argument, the result a line of JSON on stdout.
 */
import { invariant } from '../base/errors.ts';
import { DEVICES } from './device.ts';
import { probeHere } from './device-probe.ts';

const device = DEVICES.find((name) => name === process.argv[2]);
invariant(device !== undefined, 'the device to try is the argument');
// Not an orderly end: a driver may crash while its threads are shut down.
process.stdout.write(`${JSON.stringify(await probeHere(device))}\n`, () => process.exit(0));
