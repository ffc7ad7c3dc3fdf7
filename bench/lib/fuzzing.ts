/** The strangers of `bench/fuzz.ts`, in a process of their own; and a door that costs nothing. */
import { createServer } from 'node:net';
import { fuzz, type FuzzPlan } from '../../test/cluster/frame-fuzzer.ts';
import { encodeFrameHead } from '../../src/transport/frame.ts';

/** Says where the door is that only reads, and then sends the frames of every plan that comes. */
export function beStrangers(): void {
  // Welcomes everybody at once, reads, and forgets.
  const sink = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(encodeFrameHead({ kind: 'welcome', session: 's', job: { dataDigest: 'd' } }));
      socket.resume();
    });
  });
  sink.listen(0, '127.0.0.1', () => {
    const { port } = sink.address() as { readonly port: number };
    process.send?.({ sink: `127.0.0.1:${port}` });
  });
  process.on('message', (plan: FuzzPlan) => {
    void fuzz(plan).then((report) => process.send?.({ report }));
  });
  process.once('disconnect', () => process.exit());
}
