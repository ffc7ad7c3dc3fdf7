/** A worker process of `lockstep bench-collective`. It ends with whoever started it. */
import { type ErrorCode, LockstepError, messageOf } from '../../base/errors.ts';
import { openPeerNetwork } from '../../launch/peer-network.ts';
import type { Address } from '../../transport/tcp.ts';
import type { FromRank, RankStart } from './bench-collective-crew.ts';
import { BenchGroups } from './bench-collective-group.ts';
import { measureAsRank } from './bench-collective-rank.ts';

/** Codes of errors for which somebody else is to blame. */
const LATE: ReadonlySet<ErrorCode> = new Set(['COLLECTIVE_TIMEOUT', 'RENDEZVOUS_FAILED']);

async function work({ plan, index, door, secret, meetMs }: RankStart): Promise<void> {
  const doors = new Promise<Address[]>((resolve) => process.once('message', resolve));
  const network = await openPeerNetwork(
    door,
    () => {},
    (text) => tell({ kind: 'note', text }),
  );
  tell({ kind: 'door', address: network.address });
  const place = { index, size: plan.workers, secret, doors: await doors };
  const groups = new BenchGroups(network, place);
  const onSize = (sizeMb: number): void => tell({ kind: 'size', sizeMb });
  tell({ kind: 'measured', figures: await measureAsRank(plan, groups, meetMs, onSize) });
}

function tell(message: FromRank): void {
  process.send?.(message);
}

function fail(error: unknown): void {
  const isLate = error instanceof LockstepError && LATE.has(error.code);
  if (isLate) return tell({ kind: 'late', reason: error.message });
  process.stderr.write(`${messageOf(error)}\n`);
  process.exit(1);
}

process
  .once('disconnect', () => process.exit(1))
  .once('message', (start: RankStart) => {
    work(start).catch(fail);
  });
