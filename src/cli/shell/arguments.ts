/** What commands read from the command line, and how those of the letters system end. */
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { ConfigError } from '../../base/errors.ts';
import { RandomWords } from '../../base/random.ts';
import type { Address } from '../../transport/tcp.ts';
import { EXIT } from './exit-codes.ts';
import { interruptible } from './interrupt.ts';
import type { CommandContext } from './command-context.ts';
import { logLine } from './output.ts';

/** Flag, help and default of the address that a door listens on. */
export const HOST_OPTION = [
  '--host <address>',
  'address to listen on; 0.0.0.0 is every network of this machine',
  '127.0.0.1',
] as const;

/** A port; 0 takes any free one. Throws: ConfigError, as the others. */
export function parsePort(text: string, least: 0 | 1 = 0): number {
  return parseWhole('port', text, least, 65_535);
}

/** Reads a whole number from `least` to `most`. Throws: ConfigError naming the flag `name`. */
export function parseWhole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw invalid(name, `a whole number from ${least} to ${most}`, text);
}

/** Reads a number from `least` to `most`. Throws: ConfigError naming the flag `name`. */
export function parseNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw invalid(name, `a number from ${least} to ${most}`, text);
}

/** Reads one of a few words. Throws: ConfigError naming the flag `name` and all of them. */
export function parseChoice<T extends string>(
  name: string,
  text: string,
  choices: readonly T[],
): T {
  const choice = choices.find((one) => one === text);
  if (choice !== undefined) return choice;
  throw invalid(name, choices.join(' or '), text);
}

/** Checks that a folder is there. Throws: ConfigError naming the flag `name`. */
export function checkFolder(name: string, path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw invalid(name, 'a folder that is there', path);
}

/** Checks that a file is there. Throws: ConfigError naming the flag `name`. */
export function checkFile(name: string, path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() === false) return;
  throw invalid(name, stats === undefined ? 'a file that is there' : 'a file, no folder', path);
}

/** Numbers in [0, 1): the same ones for the same seed, others every time without one. */
export function createRandom(seed: string | undefined): () => number {
  const number =
    seed === undefined ? randomBytes(4).readUInt32LE() : parseWhole('--seed', seed, 0, 0xffff_ffff);
  const words = new RandomWords(number, 'synthetic');
  let next = 0;
  return () => words.uniform(next++);
}

/** Keeps a door open until SIGINT, SIGTERM or SIGHUP, then closes it and ends with 130. */
export async function serveUntilInterrupted(
  context: CommandContext,
  what: string,
  running: { readonly address: Address; close(): Promise<void> },
): Promise<void> {
  const { host, port } = running.address;
  // Who reads that it listens may end it at once.
  const interrupted = new Promise<void>((resolve) => void interruptible(resolve));
  logLine(`${what} listens on ${host}:${port}`);
  await interrupted;
  await running.close();
  context.setExitCode(EXIT.interrupted);
}

function invalid(path: string, expected: string, got: string): ConfigError {
  return new ConfigError(`${path}: expected ${expected}, got "${got}"`, [{ path, expected, got }]);
}
