/** More power cuts at each call of the disk, and ten thousand flipped bits. */
import { storageIsSafe } from '../../simulation/storage-faults.contract.ts';

storageIsSafe({ cutsPerCall: 40, flips: 10_000 });
