/** Cores, memory, disks, clocks, sleep and limits. */
import { quote } from '../../remote/quote.ts';
import { failure, type Finding, good, warning } from './finding.ts';
import type { MachineFacts, Place } from './machine-facts.ts';
import { setClockCommand } from './remedies.ts';

const MEGA = 1e6;
const GIGA = 1e9;

/** Less is not enough for Node.js, ONNX Runtime and the smallest network. */
const LEAST_MEMORY = 300 * MEGA;
const LITTLE_MEMORY = GIGA;
/** Free bytes of a folder: less is an error, or may be too little. */
export interface DiskNeed {
  readonly least: number;
  readonly little: number;
}

/** A run of a small model with its records; models of others are larger. */
const RUN_NEEDS: DiskNeed = { least: 64 * MEGA, little: GIGA };
/** Data sets and sums of workers of one machine are kept there; Docker gives 64 MB. */
const LITTLE_SHARED_MEMORY = 256 * MEGA;
/** The records of hosts can be put in order by their times when clocks differ by less. */
const CLOCK_SKEW_MS = 2_000;
/** Three connections for each worker, and the files of a run. */
const LEAST_FILES = 256;
const FEW_FILES = 1_024;
/** Of what the cores can do, this part is somebody else's. */
const BUSY_PART = 0.5;

/** Looks at how many cores there are, and whether somebody else has them. */
export function checkCores({ cores }: MachineFacts): Finding[] {
  if (cores === undefined) return [];
  const { usable, present, load } = cores;
  const counted = usable < present ? `${usable} of ${present} cores` : `${usable} cores`;
  if (load === undefined || load <= Math.max(1, usable * BUSY_PART))
    return [good('cores', `${counted} can be used`)];
  return [
    warning(
      'cores-busy',
      `${load.toFixed(1)} programs compute on ${counted}`,
      'a worker gets only what others leave, and is slower than it could be',
      'top',
    ),
  ];
}

/** Looks at the memory that is free. */
export function checkMemory({ memory }: MachineFacts): Finding[] {
  if (memory === undefined) return [];
  const { availableBytes, totalBytes } = memory;
  const what = `${size(availableBytes)} of ${size(totalBytes)} of memory are free`;
  if (availableBytes >= LITTLE_MEMORY) return [good('memory', what)];
  const make = availableBytes < LEAST_MEMORY ? failure : warning;
  return [
    make(
      'memory-low',
      what,
      'a lane of a small model needs some hundred megabytes; others are ended by the system',
      'ps aux | sort -rnk4 | head   # end what is not needed, or use --lanes 1',
    ),
  ];
}

/** Looks at the folders that are written to. */
export function checkPlaces({ places = [] }: MachineFacts): Finding[] {
  return places.flatMap((place) => checkPlace(place, RUN_NEEDS));
}

/** Looks at one of them, for what is to be written there. */
export function checkPlace(
  { folder, purpose, freeBytes, problem }: Place,
  { least, little }: DiskNeed,
): Finding[] {
  const where = `${folder} (${purpose})`;
  if (problem !== undefined)
    return [
      failure(
        'folder-closed',
        `nothing can be written to ${where}`,
        problem,
        `sudo chown "$(id -un)" ${quote(folder)}   # or choose another with --out-dir`,
      ),
    ];
  if (freeBytes === undefined) return [];
  const what = `${size(freeBytes)} are free in ${where}`;
  if (purpose === 'shared memory') return checkSharedMemory(what, freeBytes);
  const remedy = `du -xh ${quote(folder)} | sort -h | tail -20   # delete what is large`;
  if (freeBytes < least)
    return [
      failure('disk-full', what, 'the disk is full: a run is refused, or its records wait', remedy),
    ];
  if (freeBytes < little)
    return [warning('disk-low', what, 'models and records of a longer run may not fit', remedy)];
  return [good('disk', what)];
}

function checkSharedMemory(what: string, freeBytes: number): Finding[] {
  if (freeBytes >= LITTLE_SHARED_MEMORY) return [good('shared-memory', what)];
  return [
    warning(
      'shared-memory-small',
      what,
      'workers of one machine exchange sums there, or else over loopback; containers get 64 MB',
      'docker run --shm-size=1g ...   # or: sudo mount -o remount,size=1g /dev/shm',
    ),
  ];
}

/** Compares the wall clock with that of who asks, and looks whether it is kept right. */
export function checkClock(facts: MachineFacts): Finding[] {
  const { clock, isClockSynchronised } = facts;
  if (clock !== undefined) {
    const { aheadMs, uncertainMs } = clock;
    const offMs = Math.abs(aheadMs) - uncertainMs;
    if (offMs > CLOCK_SKEW_MS)
      return [
        warning(
          'clock-skewed',
          `its clock is ${span(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead' : 'behind'}`,
          'nothing is computed wrong, but records and logs of the hosts cannot be compared',
          setClockCommand(facts),
        ),
      ];
    return [good('clock', `its clock is right within ${span(Math.abs(aheadMs) + uncertainMs)}`)];
  }
  if (isClockSynchronised === false)
    return [
      warning(
        'clock-not-synchronised',
        'nothing keeps the clock right',
        'no time service is in step with its servers',
        setClockCommand(facts),
      ),
    ];
  return isClockSynchronised === true
    ? [good('clock', 'a time service keeps the clock right')]
    : [];
}

/** Looks whether the machine goes to sleep while it computes. */
export function checkSleep({ sleep }: MachineFacts): Finding[] {
  if (sleep === undefined) return [];
  if (sleep === null) return [good('sleep', 'it does not go to sleep by itself')];
  return [warning('machine-sleeps', 'it goes to sleep while it computes', sleep.why, sleep.remedy)];
}

/** Looks how many files and connections a process may have open. */
export function checkOpenFiles({ openFiles, platform }: MachineFacts): Finding[] {
  if (openFiles === undefined) return [];
  const what = `a process may have ${openFiles} files and connections open`;
  if (openFiles >= FEW_FILES) return [good('files', what)];
  const make = openFiles < LEAST_FILES ? failure : warning;
  const lasting =
    platform === 'darwin'
      ? 'sudo launchctl limit maxfiles 65536 200000'
      : 'printf "* - nofile 65536\\n" | sudo tee /etc/security/limits.d/lockstep.conf';
  return [
    make(
      'files-limited',
      what,
      'a coordinator has three connections open for each worker, and a run its files',
      `ulimit -n 65536   # in the shell that starts it; for good: ${lasting}`,
    ),
  ];
}

/** Bytes as 1.3 GB. */
function size(count: number): string {
  if (count < GIGA) return `${Math.round(count / MEGA)} MB`;
  return `${(count / GIGA).toFixed(1)} GB`;
}

function span(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}
