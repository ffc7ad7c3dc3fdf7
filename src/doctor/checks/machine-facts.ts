/**
 * What is known of a host, gathered by itself or by a shell on it. Whatever could not be found out
 * is absent, and checks say nothing about it. What another host says is parsed.
 */
import * as z from 'zod';
import { printable } from '../../base/printable.ts';

const words = z.string().transform((text) => printable(text, 300));
const count = z.number().min(0);
const bytes = count;

/** Files are written there: by a run, or on the way. */
const place = z.object({
  folder: words,
  /** What is kept there. */
  purpose: z.enum(['runs', 'cache', 'temporary files', 'shared memory', 'home']),
  freeBytes: bytes.optional(),
  /** Why nothing can be written there; absent: something can. */
  problem: words.optional(),
});

const networkInterface = z.object({
  name: words,
  addresses: z.array(words).max(64),
  /** Wi-Fi. */
  isWireless: z.boolean().optional(),
  /** A bridge of containers, a tunnel: others seldom reach this machine there. */
  isVirtual: z.boolean().optional(),
  /** As it was negotiated with the other end of the cable. */
  megabitsPerSecond: count.optional(),
});

const device = z.object({
  device: words,
  isAvailable: z.boolean(),
  gigaflops: count.optional(),
  reason: words.optional(),
});

const doorway = z.object({
  host: words,
  port: count,
  /** The system's code why nothing can listen there; absent: it can. */
  problem: words.optional(),
  /** The program that listens there already, with its process id. */
  holder: words.optional(),
});

const linkFile = z.object({
  path: words,
  /** Why it cannot be used; absent: it can. */
  problem: words.optional(),
  /** Whether other users of the machine can read it. */
  isOpen: z.boolean().optional(),
});

/** The parser of facts from another host. */
export const machineFacts = z.object({
  platform: words.optional(),
  /** Of the system: 24.1.0 of Darwin is macOS 15.1. */
  release: words.optional(),
  arch: words.optional(),
  hostname: words.optional(),
  user: words.optional(),
  node: z
    .object({
      version: words,
      program: words.optional(),
      /** Whether a command that is run over ssh finds it. */
      isOnPath: z.boolean(),
    })
    .nullable()
    .optional(),
  /** Whether its C library is the one that ONNX Runtime has binaries for; of Linux only. */
  isGlibc: z.boolean().optional(),
  /** Version; null: it is not installed. */
  lockstep: words.nullable().optional(),
  /** Why ONNX Runtime cannot be used; null: it can. */
  runtimeProblem: words.nullable().optional(),
  devices: z.array(device).max(32).optional(),
  cores: z.object({ usable: count, present: count, load: count.optional() }).optional(),
  memory: z.object({ availableBytes: bytes, totalBytes: bytes }).optional(),
  places: z.array(place).max(16).optional(),
  /** Its wall clock minus ours, and by how much that may be wrong. */
  clock: z.object({ aheadMs: z.number(), uncertainMs: count }).optional(),
  isClockSynchronised: z.boolean().optional(),
  openFiles: count.optional(),
  interfaces: z.array(networkInterface).max(256).optional(),
  programs: z
    .object({
      ssh: z.boolean().optional(),
      tmux: z.boolean().optional(),
      tar: z.boolean().optional(),
    })
    .optional(),
  /** How programs are installed. */
  installer: z.enum(['apt-get', 'dnf', 'pacman', 'apk', 'zypper', 'brew']).optional(),
  /** What puts it to sleep while it computes, and the command that ends that; null: nothing. */
  sleep: z.object({ why: words, remedy: words }).nullable().optional(),
  /** What keeps connections out, if it is on. */
  firewall: z.enum(['ufw', 'firewalld', 'macos', 'windows']).nullable().optional(),
  /** What every packet for it goes through, as `inet filter input`: chains of nftables. */
  inputChains: z.array(words).max(16).optional(),
  doorway: doorway.optional(),
  linkFile: linkFile.optional(),
});

/** Facts of a host. */
export type MachineFacts = z.infer<typeof machineFacts>;
/** A network interface of a host. */
export type Interface = z.infer<typeof networkInterface>;
/** A folder that is written to. */
export type Place = z.infer<typeof place>;
/** A file with a link to join a run. */
export type LinkFile = z.infer<typeof linkFile>;
/** A port that is to be listened at. */
export type Doorway = z.infer<typeof doorway>;
