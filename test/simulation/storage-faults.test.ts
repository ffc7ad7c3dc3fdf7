/** The disk of a checkpoint, at every call. test/long/simulated/ has more of this. */
import { storageIsSafe } from './storage-faults.contract.ts';

storageIsSafe({ cutsPerCall: 10, flips: 500 });
