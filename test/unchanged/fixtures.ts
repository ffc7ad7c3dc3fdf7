/** Recorded observations, as files. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import type { Observation } from './observe.ts';

export const FIXTURES: string = resolve(import.meta.dirname, '../fixtures/unchanged');

export function readObservation(folder: string): Observation {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.txt'))
    .sort();
  return new Map(
    names.map((name) => [name.split(sep).join('/'), readFileSync(join(folder, name), 'utf8')]),
  );
}

/** Puts an observation in place of the one in `folder`. */
export function writeObservation(folder: string, observation: Observation): void {
  rmSync(folder, { recursive: true, force: true });
  for (const [name, text] of observation) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/**
 * What is different, as lines for people: `-` was recorded, `+` is so now. Empty when nothing is.
 */
export function differencesOf(recorded: Observation, present: Observation): string[] {
  const names = new Set([...recorded.keys(), ...present.keys()]);
  return [...names].sort().flatMap((name) => {
    const before = recorded.get(name);
    const now = present.get(name);
    if (before === now) return [];
    if (now === undefined) return [`- ${name}`];
    if (before === undefined) return [`+ ${name}`];
    return [`${name}:`, ...differentLines(before.split('\n'), now.split('\n'))];
  });
}

/** What lies between the lines that both texts begin and end with. */
function differentLines(before: readonly string[], now: readonly string[]): string[] {
  let start = 0;
  while (start < before.length && before[start] === now[start]) start++;
  let end = 0;
  const shorter = Math.min(before.length, now.length) - start;
  while (end < shorter && before.at(-1 - end) === now.at(-1 - end)) end++;
  return [
    ...before.slice(start, before.length - end).map((line) => `  - ${line}`),
    ...now.slice(start, now.length - end).map((line) => `  + ${line}`),
  ];
}
