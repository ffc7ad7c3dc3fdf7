/** What a host says of itself over ssh: a shell's facts, and its own doctor's if it has one. */
import * as z from 'zod';
import { HostError } from '../remote/ssh-failures.ts';
import type { Ssh } from '../remote/ssh.ts';
import type { SshTarget } from '../remote/host.ts';
import { checkHost } from './checks/check-host.ts';
import { type Finding, of } from './checks/finding.ts';
import { type MachineFacts, machineFacts } from './checks/machine-facts.ts';
import type { Expected } from './checks/software-checks.ts';
import { explainSsh, type SshDestination } from './checks/ssh-check.ts';
import { outputOf } from './facts/run-program.ts';
import { askShell, type Probed } from './shell-probe.ts';

/** A host that is to be looked at. */
export interface Patient extends SshTarget, Probed {
  /** Address in the network that training uses. */
  readonly address?: string | undefined;
}

/** A host after the look; without facts it was not reached. */
export interface PatientReport {
  readonly patient: Patient;
  readonly facts: MachineFacts | undefined;
  readonly findings: readonly Finding[];
}

/** Its own doctor tries devices, each in a process of its own. */
const PROBE_MS = 60_000;

const ownReport = z.object({ hosts: z.tuple([z.object({ facts: machineFacts })]) });

/** Looks at a host. That it is not reached is a finding, and no error. */
export async function examineHost(
  ssh: Ssh,
  patient: Patient,
  expected: Expected,
): Promise<PatientReport> {
  const { name, target } = patient;
  try {
    const facts = await factsOf(ssh, patient);
    // Only this machine needs the program; a host needs the server, which it has.
    const programs = { ...facts.programs, ssh: undefined };
    const login = { id: 'ssh', severity: 'ok', what: `ssh ${target} works` } as const;
    return {
      patient,
      facts,
      findings: of(name, [login, ...checkHost({ ...facts, programs }, expected)]),
    };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const problem = explainSsh(error, await settingsFor(ssh, patient));
    return { patient, facts: undefined, findings: of(name, [problem]) };
  }
}

async function factsOf(ssh: Ssh, patient: Patient): Promise<MachineFacts> {
  const answer = await askShell(ssh, patient, 'full', PROBE_MS);
  const clock = await clockOf(ssh, patient);
  return { ...answer.facts, ...ownFacts(answer.ownReport, answer.facts), ...clock };
}

/** What the host's own doctor knows better than a shell. */
function ownFacts(text: string | undefined, shell: MachineFacts): Partial<MachineFacts> {
  if (text === undefined) return {};
  try {
    const { facts } = ownReport.parse(JSON.parse(text)).hosts[0];
    return { ...facts, node: shell.node ?? facts.node };
  } catch {
    return {}; // An older version, without a doctor: what the shell found out is all.
  }
}

/** Asks for the time alone, on the connection that stands: the answer is quick, so it is exact. */
async function clockOf(ssh: Ssh, patient: Patient): Promise<Pick<MachineFacts, 'clock'>> {
  const askedMs = Date.now();
  const { stdout } = await ssh.run(patient, 'date +%s%N');
  const answeredMs = Date.now();
  // Not every `date` knows nanoseconds: it prints an N then.
  const digits = /^(\d{10})(\d{9})?/.exec(stdout.trim());
  if (digits === null) return {};
  const seconds = Number(digits[1]);
  const [restMs, grainMs] = digits[2] === undefined ? [500, 500] : [Number(digits[2]) / 1e6, 0];
  const aheadMs = 1000 * seconds + restMs - (askedMs + answeredMs) / 2;
  return { clock: { aheadMs, uncertainMs: (answeredMs - askedMs) / 2 + grainMs } };
}

async function settingsFor(ssh: Ssh, patient: Patient): Promise<SshDestination> {
  const { target } = patient;
  const [program = '', ...words] = ssh.commandLine(patient, '', ['-G']);
  const text = (await outputOf(program, words.slice(0, -1))) ?? '';
  const valueOf = (key: string): string | undefined =>
    new RegExp(`^${key} (.+)$`, 'm').exec(text)?.[1];
  return {
    target,
    hostname: valueOf('hostname'),
    port: valueOf('port'),
    user: valueOf('user'),
    knownHosts: valueOf('userknownhostsfile')?.split(' ')[0],
    identity: patient.identity,
  };
}
