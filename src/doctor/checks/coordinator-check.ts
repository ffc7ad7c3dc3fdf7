/** What a coordinator answered that workers are to join. */
import { failure, type Finding, good, warning } from './finding.ts';
import type { MachineFacts } from './machine-facts.ts';
import { explainReach, type Reach } from './reach.ts';

/** What came back from the address of a coordinator. */
export interface CoordinatorAnswer {
  readonly reach: Reach;
  /**
   * What was heard once the connection stood: `welcome` is that versions agree. Absent: there was
   * no connection.
   */
  readonly greeting?:
    | { readonly kind: 'welcome'; readonly ms: number }
    | { readonly kind: 'differs' | 'refuses' | 'token'; readonly reason: string }
    | { readonly kind: 'keyed' | 'stranger'; readonly reason: string };
}

const WHO = 'the coordinator';

/** Says whether a worker of this machine could join. */
export function checkCoordinator(
  { reach, greeting }: CoordinatorAnswer,
  facts: MachineFacts,
): Finding[] {
  const at = `${reach.host}:${reach.port}`;
  const problem = explainReach(reach, WHO, facts);
  if (problem !== undefined) return [problem];
  if (reach.outcome === 'refused') return [absent(reach, at)];
  switch (greeting?.kind) {
    case undefined:
      return [];
    case 'welcome':
      return [
        good(
          'coordinator',
          `the coordinator at ${at} answers in ${Math.ceil(greeting.ms)} ms${via(reach)}`,
        ),
      ];
    case 'differs':
      return [
        failure(
          'coordinator-differs',
          `the coordinator at ${at} has another version`,
          greeting.reason,
          'npm install -g lockstep-train@<its version>   # here, or ours there',
        ),
      ];
    case 'keyed':
      return [
        warning(
          'token-missing',
          `the coordinator at ${at} lets in who has a key`,
          'an address alone opens no door in a network',
          'lockstep join <link>   # as it has printed it; doctor --link-file <file> tries one',
        ),
      ];
    case 'token':
      return [
        failure(
          'token-wrong',
          `the coordinator at ${at} does not take our token`,
          greeting.reason,
          `lockstep token create --join ${at}   # where it runs; \`lockstep join\` takes the link`,
        ),
      ];
    case 'refuses':
      return [
        failure(
          'coordinator-refuses',
          `the coordinator at ${at} lets no worker in`,
          greeting.reason,
          'see what the coordinator says on its terminal',
        ),
      ];
    case 'stranger':
      return [
        failure(
          'not-a-coordinator',
          `what listens at ${at} is no coordinator of Lockstep`,
          greeting.reason,
          `ss -ltnp sport = :${reach.port}   # there; a coordinator prints its own address`,
        ),
      ];
    default:
      return greeting satisfies never;
  }
}

function absent({ host, port }: Reach, at: string): Finding {
  const isLoopback = host === 'localhost' || host.startsWith('127.') || host === '::1';
  return failure(
    'coordinator-absent',
    `nobody listens at ${at}`,
    isLoopback
      ? 'no coordinator runs on this machine, or it has another port'
      : 'no coordinator runs there, it has another port, or it listens on 127.0.0.1 only, which ' +
          'is what it does without --host',
    isLoopback
      ? `lockstep coordinator --port ${port} ...`
      : `lockstep coordinator --host 0.0.0.0 --port ${port} ...   # there`,
  );
}

function via({ localAddress }: Reach): string {
  return localAddress === undefined ? '' : `, reached from ${localAddress}`;
}
