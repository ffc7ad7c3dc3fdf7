/** `lockstep fault-test` as its user runs it, in a folder that must be empty afterwards. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { type FaultReport, faultReportSchema } from '../../src/validate/results/result.ts';
import { type Program, startLockstep } from '../cluster/processes.ts';

/** A frozen worker costs five seconds, other data fifteen. */
const DEADLINE_MS = 240_000;

// Everything that fault-test leaves behind would be in here.
export const folder: string = mkdtempSync(join(tmpdir(), 'lockstep-fault-test-test-'));
process.env['TMPDIR'] = folder;
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

/** What a fault test said of faults. */
export interface Tested {
  readonly status: number | null;
  readonly report: FaultReport;
  readonly program: Program;
}

/** Starts `lockstep fault-test`, and says where its report will be. */
export function startFaultTest(
  t: TestContext,
  args: readonly string[],
): { program: Program; output: string } {
  const output = join(folder, `${Math.random().toString(36).slice(2)}.json`);
  return {
    program: startLockstep(t, ['fault-test', '--output', output, '--json', ...args]),
    output,
  };
}

/** Runs `lockstep fault-test` to its end; nothing of its runs may be left. */
export async function faultTest(t: TestContext, ...args: readonly string[]): Promise<Tested> {
  const { program, output } = startFaultTest(t, args);
  const { status } = await program.end(DEADLINE_MS);
  const report = faultReportSchema.parse(JSON.parse(program.stdout));
  assert.deepEqual(
    report,
    JSON.parse(readFileSync(output, 'utf8')),
    'the file is what was printed',
  );
  const left = readdirSync(folder).filter((name) => name.startsWith('lockstep-'));
  assert.deepEqual(left, [], 'no files of runs are left');
  return { status, report, program };
}

/**
 * Every fault was really injected, found with the right worker, and survived with the clean run's
 * model.
 */
export function assertAllFound(
  { status, report, program }: Tested,
  names: readonly string[],
): void {
  assert.deepEqual(report.control?.false_alarms, []);
  assert.deepEqual(
    report.results.map(({ fault_type: name }) => name),
    names,
  );
  for (const result of report.results) {
    const { fault_type: name, injection_step: injected, detected_step: detected } = result;
    assert.equal(result['status'], 'detected', `${name}: ${result.reason}`);
    assert.equal(result.named_rank, result.affected_rank, name);
    assert.ok(
      typeof injected === 'number' && typeof detected === 'number' && detected >= injected,
      name,
    );
    assert.deepEqual([result.recovered, result.digest_equal], [true, true], name);
  }
  assert.equal(status, 0, program.stderr);
}
