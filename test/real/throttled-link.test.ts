/**
 * What `lockstep run` measures on a link of limited rate: a network namespace of its own, whose
 * loopback is throttled.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { type TrainingPayload, trainingPayloadSchema } from '../../src/validate/results/result.ts';
import { REPOSITORY, startLockstep, startProgram, temporaryFolder } from '../cluster/processes.ts';

const NAMESPACE = `lockstep-${process.pid}`;
/**
 * A hidden layer of 1,000: 12,001 parameters, whose sums of 48 kB travel through the socket and not
 * through memory.
 */
const ARGS = ['run', '--workers', '2', '--steps', '20', '--hidden-size', '1000'];
const SUM_BITS = 12_001 * 4 * 8;

/** Why namespaces cannot be made here, or false. */
function reasonToSkip(): string | false {
  if (process.getuid?.() !== 0) return 'only root can make network namespaces';
  const hasTools = ['ip', 'tc'].every((program) => spawnSync(program, ['-V']).status === 0);
  return hasTools ? false : 'without iproute2';
}

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  assert.equal(status, 0, `ip ${args.join(' ')}: ${stderr}`);
}

function inNamespace(...args: readonly string[]): readonly string[] {
  return ['netns', 'exec', NAMESPACE, ...args];
}

/**
 * A measured run in a namespace whose loopback passes `megabits` a second; without it all it can.
 */
async function runAt(t: TestContext, megabits: number | undefined): Promise<TrainingPayload> {
  const output = join(temporaryFolder(t), 'result.json');
  ip('netns', 'add', NAMESPACE);
  try {
    // Packets as on a real network: the rate is kept in pieces smaller than the loopback's 64 kB.
    ip('-n', NAMESPACE, 'link', 'set', 'lo', 'mtu', '1500', 'up');
    const limit = ['rate', `${megabits}mbit`, 'burst', '32kbit', 'latency', '400ms'];
    if (megabits !== undefined)
      ip(...inNamespace('tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'tbf', ...limit));
    const bin = join(REPOSITORY, 'bin/lockstep.js');
    const files = ['--output', output, '--health-checkpoint-path', `${output}.health`];
    const program = startProgram(t, 'ip', inNamespace(process.execPath, bin, ...ARGS, ...files));
    try {
      assert.equal((await program.end()).status, 0, program.stderr);
    } finally {
      await program.release();
    }
  } finally {
    ip('netns', 'delete', NAMESPACE);
  }
  const result = JSON.parse(readFileSync(output, 'utf8')) as { tool_payload: unknown };
  return trainingPayloadSchema.parse(result.tool_payload);
}

/** Medians over the steps, milliseconds. */
function medians({ steps }: TrainingPayload): { compute: number; allReduce: number; step: number } {
  const median = (of: (step: (typeof steps)[number]) => number): number =>
    steps.map(of).sort((a, b) => a - b)[steps.length >> 1]!;
  return {
    compute: median((step) => step.compute_time_ms),
    allReduce: median((step) => step.allreduce_time_ms),
    step: median((step) => step.step_time_ms!),
  };
}

describe('lockstep run on a throttled link', () => {
  test(
    'measures all-reduce times that follow from the rate, and computes the same',
    { skip: reasonToSkip() },
    async (t) => {
      await startLockstep(t, ['--version']).end();
      const free = await runAt(t, undefined);
      const fast = await runAt(t, 20);
      const slow = await runAt(t, 10);
      const [freeMs, fastMs, slowMs] = [free, fast, slow].map(medians);
      t.diagnostic(JSON.stringify({ freeMs, fastMs, slowMs }));

      // A worker's sum goes up and the total comes down, one after the other.
      const leastMs = (megabits: number): number => (2 * SUM_BITS) / (megabits * 1000);
      assert.ok(fastMs!.allReduce > 0.6 * leastMs(20), `${fastMs!.allReduce} ms at 20 Mbit/s`);
      assert.ok(slowMs!.allReduce > 0.6 * leastMs(10), `${slowMs!.allReduce} ms at 10 Mbit/s`);
      assert.ok(freeMs!.allReduce < 0.5 * fastMs!.allReduce, `${freeMs!.allReduce} ms unlimited`);
      const ratio = slowMs!.allReduce / fastMs!.allReduce;
      assert.ok(ratio > 1.4 && ratio < 2.8, `half the rate, ${ratio} times as long`);
      // The time is in the all-reduce and nowhere else.
      assert.ok(slowMs!.compute < 0.2 * slowMs!.step);
      for (const payload of [fast, slow]) {
        for (const { step, step_time_ms: whole, ...parts } of payload.steps) {
          const { compute_time_ms, allreduce_time_ms, wait_time_ms = 0, other_time_ms = 0 } = parts;
          const sum = compute_time_ms + allreduce_time_ms + wait_time_ms + other_time_ms;
          assert.ok(Math.abs(sum - whole!) <= 0.05 * whole!, `step ${step}: ${sum} of ${whole} ms`);
        }
        assert.equal(payload.state_digest, free.state_digest);
      }
    },
  );
});
