/**
 * Where the processes of a group find each other: a folder of the user's that all of them see, in
 * which rank 0 writes down where it is and by which key, and everybody its rank. Only its owner can
 * read it.
 */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { readSecretFile, writeSecretFile } from '../../access/secret-file.ts';
import { systemClock } from '../../base/clock.ts';
import { ConfigError, RendezvousError } from '../../base/errors.ts';

/** Of the files below: another one is of another version of Lockstep. */
const VERSION = 1;
const POLL_MS = 100;
/** Who waits for so long is told of it. */
const TELL_AFTER_MS = 10_000;
/** What is left of earlier groups goes after this time. */
const KEPT_MS = 7 * 24 * 3_600_000;

const placeSchema = z.object({
  version: z.literal(VERSION),
  address: z.object({ host: z.string().max(255), port: z.int().min(1).max(65_535) }),
  link: z.string().max(4_096).nullable(),
});
const overSchema = z.object({
  version: z.literal(VERSION),
  reason: z.string().max(8_000),
  isFailed: z.boolean(),
});
const claimSchema = z.object({ processId: z.int(), host: z.string().max(255) });

/** Where rank 0 is, and the link that opens its door, if one is needed. */
export type GroupPlace = Omit<z.infer<typeof placeSchema>, 'version'>;
/** How the run of rank 0 has ended. */
export type GroupEnd = Omit<z.infer<typeof overSchema>, 'version'>;

/** What is known of rank 0. */
export type Found =
  | { readonly kind: 'place'; readonly place: GroupPlace }
  | { readonly kind: 'over'; readonly end: GroupEnd };

/** The folder of one group. Its methods throw FILE_FAILED when that cannot be used. */
export class Meeting {
  readonly folder: string;

  /** `home` has the folders of all groups; `name` is of this one. */
  constructor(home: string, name: string) {
    const all = join(home, 'groups');
    this.folder = join(all, name);
    forgetOld(all);
  }

  /** Says that this process has `rank`. Throws: ConfigError when another one has said so. */
  claim(rank: number): void {
    const path = join(this.folder, `rank-${rank}.json`);
    if (writeSecretFile(path, { processId: process.pid, host: hostname() }, true)) return;
    const holder = readSecretFile(path, claimSchema);
    const who = holder === undefined ? 'another' : `process ${holder.processId} on ${holder.host}`;
    throw new ConfigError(
      `rank ${rank} is there twice in this group: ${who} has it, too. Were both started by one ` +
        'launcher, and does it number its processes? RANK must not be set by hand in front of it',
    );
  }

  /** Rank 0 tells where it is. */
  announce(place: GroupPlace): void {
    writeSecretFile(this.#path('place'), { version: VERSION, ...place });
  }

  /** Rank 0 tells that it is over; whoever comes later need not look for it. */
  end(end: GroupEnd): void {
    writeSecretFile(this.#path('over'), { version: VERSION, ...end });
    rmSync(this.#path('place'), { force: true });
  }

  /** Waits until rank 0 tells something; undefined if the wait was ended. */
  async find(
    untilMs: number,
    { signal, log }: { readonly signal: AbortSignal; readonly log: (line: string) => void },
  ): Promise<Found | undefined> {
    const startedMs = systemClock.now();
    let isTold = false;
    while (!signal.aborted) {
      const found = this.#look();
      if (found !== undefined) return found;
      const nowMs = systemClock.now();
      if (nowMs > untilMs) throw this.#deserted(nowMs - startedMs);
      if (!isTold && nowMs - startedMs > TELL_AFTER_MS) {
        isTold = true;
        log(`waiting for rank 0, which is to say in ${this.folder} where it is`);
      }
      await sleep(POLL_MS, undefined, { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
    return undefined;
  }

  #look(): Found | undefined {
    // In this order: rank 0 first says that it is over.
    const place = readSecretFile(this.#path('place'), placeSchema);
    const end = readSecretFile(this.#path('over'), overSchema);
    if (end !== undefined) return { kind: 'over', end };
    return place === undefined ? undefined : { kind: 'place', place };
  }

  #deserted(waitedMs: number): RendezvousError {
    return new RendezvousError(
      `no word of rank 0 for ${Math.round(waitedMs / 1000)} s in ${this.folder}. Has it failed, ` +
        'or is that folder another one where it runs? LOCKSTEP_HOME names one that all hosts share; ' +
        'without any, give all of them LOCKSTEP_TOKEN and MASTER_ADDR (docs/clusters.md)',
    );
  }

  #path(name: string): string {
    return join(this.folder, `${name}.json`);
  }
}

function forgetOld(all: string): void {
  const isFolder = statSync(all, { throwIfNoEntry: false })?.isDirectory() === true;
  for (const name of isFolder ? readdirSync(all) : []) {
    const folder = join(all, name);
    const ms = statSync(folder, { throwIfNoEntry: false })?.mtimeMs;
    if (ms !== undefined && Date.now() - ms > KEPT_MS)
      rmSync(folder, { recursive: true, force: true });
  }
}
