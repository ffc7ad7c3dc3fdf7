/** A look at several hosts, and at the ways between them. */
import type { Ssh } from '../remote/ssh.ts';
import { checkLinks } from './checks/link-checks.ts';
import type { Examination } from './examination.ts';
import { EXPECTED } from './examine-this-machine.ts';
import { type LinkHost, measureLinks } from './measure-links.ts';
import { examineHost, type Patient } from './remote-host.ts';

/** Looks at all hosts at once, then at each pair of those that can compute. */
export async function examineHosts(ssh: Ssh, patients: readonly Patient[]): Promise<Examination> {
  const looks = patients.map(async (patient) => examineHost(ssh, patient, EXPECTED));
  const reports = await Promise.all(looks);
  const hosts = reports.map(({ patient: { name }, facts = {} }) => ({ name, facts }));
  const ends = reports.flatMap(({ patient, facts }): LinkHost[] =>
    facts?.node ? [{ patient, facts }] : [],
  );
  const links = await measureLinks(ssh, ends);
  const factsByName = new Map(hosts.map(({ name, facts }) => [name, facts]));
  return {
    doctor: 1,
    expected: EXPECTED,
    hosts,
    links,
    findings: [
      ...reports.flatMap(({ findings }) => findings),
      ...checkLinks(links, (name) => factsByName.get(name) ?? {}),
    ],
  };
}
