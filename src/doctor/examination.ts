/** What `lockstep doctor` found, as its JSON document has it. */
import type { Finding } from './checks/finding.ts';
import type { MachineFacts } from './checks/machine-facts.ts';
import type { Link } from './checks/link-checks.ts';
import type { Expected } from './checks/software-checks.ts';

/** A host with what is known of it. */
interface ExaminedHost {
  /** As it was named; of this machine its own name. */
  readonly name: string;
  readonly facts: MachineFacts;
}

/** Facts and findings of a look at one machine, or at several and what is between them. */
export interface Examination {
  /** Version of this document. */
  readonly doctor: 1;
  readonly expected: Expected;
  readonly hosts: readonly ExaminedHost[];
  readonly links: readonly Link[];
  readonly findings: readonly Finding[];
}
