/**
 * The name in `names` that `word` was probably meant to be; undefined when none is near.
 *
 * Near is an edit distance (insert, delete, replace, swap of neighbours) of at most a third of the
 * longer word, or one word being the beginning of the other. Case, `-` and `_` do not count.
 */
export function closestName(word: string, names: Iterable<string>): string | undefined {
  const wanted = plain(word);
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const name of names) {
    const candidate = plain(name);
    const isBeginning =
      wanted.length >= 3 && (candidate.startsWith(wanted) || wanted.startsWith(candidate));
    const distance = isBeginning ? 0.5 : editDistance(wanted, candidate);
    const limit = Math.max(wanted.length, candidate.length) / 3;
    if (distance > limit || distance >= bestDistance) continue;
    best = name;
    bestDistance = distance;
  }
  return best;
}

/**
 * ` Did you mean "x"?` when a name is near, otherwise the whole list; to be appended to a message.
 */
export function suggestion(word: string, names: readonly string[]): string {
  const closest = closestName(word, names);
  return closest === undefined ? `Known: ${names.join(', ')}.` : `Did you mean "${closest}"?`;
}

function plain(word: string): string {
  // A pasted paragraph is no misspelt name: bound the quadratic distance.
  return word.slice(0, 64).toLowerCase().replaceAll(/[-_]/g, '');
}

/** Optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let distance = Math.min(replace, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        distance = Math.min(distance, (beforeLast[j - 2] ?? 0) + 1);
      row.push(distance);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
