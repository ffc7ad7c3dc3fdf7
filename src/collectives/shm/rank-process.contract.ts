/**
 * A rank of two in a process of its own, over a port of its parent's: `node <file> <port>
 * <bytes> <sums>`. Sends its parent the first and last number of each total, or why it broke.
 */
import assert from 'node:assert/strict';
import { connect } from '../../transport/tcp.ts';
import { makeShm } from './shm.ts';

const CONNECT_MS = 10_000;

async function main([port, byteLength, sums]: readonly number[]): Promise<void> {
  const address = { host: '127.0.0.1', port: port! };
  const previous = await connect(address, CONNECT_MS);
  const next = await connect(address, CONNECT_MS);
  const shm = makeShm({ otherwise: () => assert.fail('memory cannot be shared') });
  const collective = shm({
    index: 1,
    size: 2,
    byteLength: byteLength!,
    neighbours: { previous, next },
    onBroken: (error) => void process.send!({ broken: error.message }),
  });
  const own = new Int32Array(byteLength! / 4);
  const begin = (sequence: number): void => {
    if (sequence === sums) return;
    own.fill(1_000 + sequence);
    collective.reduce(sequence, new Uint8Array(own.buffer), (total) => {
      const numbers = new Int32Array(total.buffer, total.byteOffset, own.length);
      process.send!({ first: numbers[0], last: numbers.at(-1) });
      begin(sequence + 1);
    });
  };
  begin(0);
  process.once('disconnect', () => collective.close());
}

await main(process.argv.slice(2).map(Number));
