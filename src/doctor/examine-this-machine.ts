/** A look at this machine, and at the coordinator that it is to join. */
import { accessFolder } from '../access/home.ts';
import { VERSION } from '../launch/software.ts';
import type { Address } from '../transport/tcp.ts';
import { checkHost } from './checks/check-host.ts';
import { of } from './checks/finding.ts';
import { checkCoordinator } from './checks/coordinator-check.ts';
import { type Expected, LEAST_NODE } from './checks/software-checks.ts';
import type { Examination } from './examination.ts';
import { linkIn } from './facts/link-file.ts';
import { askByLink, askCoordinator } from './facts/coordinator-answer.ts';
import { gatherFacts, type Wishes } from './facts/gather-facts.ts';

/** What hosts should have. */
export const EXPECTED: Expected = { node: LEAST_NODE, lockstep: VERSION };

/** Looks at this machine; with `join` also at the coordinator there. */
export async function examineThisMachine(
  wishes: Wishes & { readonly join?: Address },
): Promise<Examination> {
  const facts = await gatherFacts(wishes);
  const link = wishes.linkFile === undefined ? undefined : linkIn(wishes.linkFile);
  const answers = [
    ...(wishes.join === undefined ? [] : [await askCoordinator(wishes.join)]),
    ...(link === undefined ? [] : await askByLink(link, accessFolder(wishes.environment))),
  ];
  const name = facts.hostname ?? 'this machine';
  const findings = [
    ...checkHost(facts, EXPECTED),
    ...answers.flatMap((answer) => checkCoordinator(answer, facts)),
  ];
  return {
    doctor: 1,
    expected: EXPECTED,
    hosts: [{ name, facts }],
    links: [],
    findings: of(name, findings),
  };
}
