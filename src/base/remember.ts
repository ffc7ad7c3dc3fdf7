/** What is kept of so many at most is bounded, whoever makes them. */
const MOST = 4_096;

/** Sets `key` in `map` as its newest; the oldest is forgotten when there are too many. */
export function remember<K, V>(map: Map<K, V>, key: K, value: V): V {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MOST && oldest !== undefined) map.delete(oldest);
  return value;
}
