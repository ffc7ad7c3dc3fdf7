/** `lockstep run` as its user runs it: real worker processes, and the files they leave. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  type Health,
  healthSchema,
  type Result,
  resultSchema,
  type TrainingPayload,
  trainingPayloadSchema,
} from '../../src/validate/results/result.ts';
import { assertGone, type Program, startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { assertTrackIqHealth, assertTrackIqResult } from './trackiq-records.ts';

/** A run under way in a folder of its own. */
export class MeasuredRun {
  readonly folder: string;
  readonly program: Program;

  constructor(t: TestContext, args: readonly string[]) {
    this.folder = temporaryFolder(t);
    const outputs = [
      '--output',
      this.path('result.json'),
      '--health-checkpoint-path',
      this.path('health.json'),
    ];
    this.program = startLockstep(t, [
      'run',
      ...outputs,
      '--plain',
      this.path('plain.json'),
      ...args,
    ]);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** The health file, which is whole at every moment. */
  health(): Health | undefined {
    const path = this.path('health.json');
    return existsSync(path)
      ? healthSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
      : undefined;
  }

  /** Process ids by rank. */
  workerIds(): number[] {
    return [...this.program.stderr.matchAll(/rank \d+ joined .* process (\d+)/g)].map((match) =>
      Number(match[1]),
    );
  }

  async finished(): Promise<{ result: Result; payload: TrainingPayload }> {
    const { status } = await this.program.end();
    assert.equal(status, 0, this.program.stderr);
    await assertGone(this.workerIds());
    const result = resultSchema.parse(JSON.parse(readFileSync(this.path('result.json'), 'utf8')));
    assertTrackIqResult(result);
    assertTrackIqHealth(this.health()!);
    return { result, payload: trainingPayloadSchema.parse(result.tool_payload) };
  }
}

/** Gives the bits of the loss of every step. */
export function lossBits({ steps }: TrainingPayload): (string | undefined)[] {
  return steps.map((step) => step.loss_bits);
}
