/** What a worker does for somebody in the coordinator's place who asks for too much: nothing. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Job, ToCoordinator, ToWorker } from '../../src/protocol/messages.ts';
import { listen } from '../../src/transport/tcp.ts';
import { startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { REGRESSION_JOB, REGRESSION_STEPS } from '../regression-job.ts';
import { SECRET_COUNT, SECRET_FILE, STEPS_THAT_READ_FILES } from '../steps-that-read-files.ts';

/** What somebody in the coordinator's place asks for. */
interface Wish {
  readonly job?: Partial<Job>;
  readonly train?: Uint8Array;
}

/** A worker that joins somebody who says welcome and asks for something. */
async function answerTo(
  t: TestContext,
  { job = {}, train: step = REGRESSION_STEPS.train }: Wish,
): Promise<{
  readonly status: number | null;
  readonly stderr: string;
  readonly told: readonly ToCoordinator[];
}> {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, SECRET_FILE), Buffer.alloc(4 * SECRET_COUNT, 7));
  writeFileSync(join(folder, 'private.csv'), 'a,b\n1,2\n');
  const sizes = { trainBytes: step.length, evaluateBytes: REGRESSION_STEPS.evaluate.length };
  const welcome: ToWorker = {
    ...{ kind: 'welcome', session: 'one', rank: 0, reach: { isOpen: false, key: null } },
    job: { ...REGRESSION_JOB, ...job, ...sizes },
  };
  const told: ToCoordinator[] = [];
  const door = await listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    connection.limits = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 1 << 20 };
    connection.handlers = {
      onClose: () => {},
      onFrame: (header) => {
        const message = header as ToCoordinator;
        told.push(message);
        if (message.kind === 'hello' && message.channel === 'control')
          connection.send(welcome, Buffer.concat([step, REGRESSION_STEPS.evaluate]));
      },
    };
  });
  t.after(async () => door.close());
  const worker = startLockstep(
    t,
    ['worker', '--join', `127.0.0.1:${door.address.port}`, '--lanes', '1', '--retry', '0'],
    folder,
    { LOCKSTEP_HOME: join(folder, 'home'), XDG_CACHE_HOME: join(folder, 'cache') },
  );
  const { status } = await worker.end();
  assert.deepEqual(
    readdirSync(folder).filter((name) => !['private.csv', SECRET_FILE].includes(name)),
    [],
    'nothing was written',
  );
  return { status, stderr: worker.stderr, told };
}

describe('a worker of a hostile coordinator', { concurrency: 2 }, () => {
  const [[, reading] = ['', undefined]] = Object.entries(STEPS_THAT_READ_FILES);
  const wishes: Readonly<Record<string, Wish & { readonly status: number; says: RegExp }>> = {
    'a step that reads a file': {
      train: reading!,
      status: 2,
      says: /error: the training step that the coordinator sent was refused: /,
    },
    'a state of a tebibyte': {
      job: { parameters: [{ name: 'w', shape: [2 ** 38], statisticMomentum: null }] },
      status: 1,
      says: /error: this worker of 1 lane needs at least [\d.]+ GiB of memory, and /,
    },
    'a file of its own choice as data': {
      job: { dataset: { ...REGRESSION_JOB.dataset, name: './private.csv' } },
      status: 2,
      says: /./,
    },
  };
  for (const [what, { status, says, ...wish }] of Object.entries(wishes))
    test(`computes nothing, and says why, when it is asked for ${what}`, async (t) => {
      const answer = await answerTo(t, wish);

      assert.match(answer.stderr, says);
      assert.doesNotMatch(answer.stderr, /^ +at /m);
      assert.equal(answer.status, status);
      const kinds = new Set(answer.told.map(({ kind }) => kind));
      assert.ok(kinds.has('failed') && !kinds.has('ready'), [...kinds].join());
      assert.doesNotMatch(JSON.stringify(answer.told), /private|lockstep-cluster/);
    });
});
