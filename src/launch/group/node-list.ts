/** The short ways in which Slurm writes lists. */

/** More hosts than these are no list of ours. */
const MOST_HOSTS = 65_536;

/** Names of a list as `n[1-3,07],login`: `n1`, `n2`, `n3`, `n07`, `login`. */
export function expandHosts(list: string): string[] {
  return list.split(/,(?![^[]*\])/).flatMap((part) => expandPart(part));
}

/** Every bracket of a name multiplies it. */
function expandPart(part: string): string[] {
  const [, before = '', inside, after = ''] = /^([^[]*)\[([^\]]*)\](.*)$/.exec(part) ?? [];
  if (inside === undefined) return part === '' ? [] : [part];
  const ends = expandPart(after);
  return inside
    .split(',')
    .flatMap(numbersOf)
    .slice(0, MOST_HOSTS)
    .flatMap((number) => (ends.length === 0 ? [''] : ends).map((end) => before + number + end));
}

/** `07-09` has as many digits as its first number. */
function numbersOf(range: string): string[] {
  const [first = '', last = first] = range.split('-');
  const [from, to] = [Number(first), Number(last)];
  if (!/^\d+$/.test(first) || !/^\d+$/.test(last) || to - from >= MOST_HOSTS) return [];
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) =>
    String(from + i).padStart(first.length, '0'),
  );
}

/**
 * How many tasks the node of number `node` has by a list as `2(x3),1`: three nodes of two, one of
 * one. Undefined if the list does not say.
 */
export function tasksOfNode(list = '', node = ''): number | undefined {
  if (!/^\d+$/.test(node)) return undefined;
  let first = 0;
  for (const part of list.split(',')) {
    const [, tasks, times = '1'] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? [];
    if (tasks === undefined) return undefined;
    first += Number(times);
    if (Number(node) < first) return Number(tasks);
  }
  return undefined;
}
