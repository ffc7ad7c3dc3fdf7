/** A real Slurm of four nodes on this machine: munged, slurmctld, and a slurmd for each node. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../cluster/processes.ts';
import { freePort } from './ssh-server.ts';

const NODES = ['n1', 'n2', 'n3', 'n4'];
const START_MS = 30_000;
const END_MS = 10_000;

/** Why no Slurm can be started here, or false. */
export function reasonToSkipSlurm(): string | false {
  if (process.getuid?.() !== 0) return 'only root can start Slurm';
  const programs = ['slurmctld', 'slurmd', 'sbatch', 'munged'];
  const hasAll = programs.every((one) => spawnSync(one, ['--version']).error === undefined);
  return hasAll ? false : 'without slurmctld, slurmd, slurm-client or munge';
}

/** Its daemons, which `close` ends, and how it is asked things. */
export class SlurmCluster {
  /** Passwords of munge and sockets are there: others may look into no other folder of it. */
  readonly #folder = mkdtempSync(join(tmpdir(), 'lockstep-slurm-'));
  readonly configFile: string = join(this.#folder, 'slurm.conf');
  readonly #daemons: ChildProcess[] = [];

  async start(): Promise<void> {
    chmodSync(this.#folder, 0o755);
    await this.#startMunge();
    const ports = await Promise.all([...NODES, 'controller'].map(async () => freePort()));
    writeFileSync(this.configFile, this.#config(ports));
    for (const node of NODES) mkdirSync(join(this.#folder, `tmp.${node}`));
    mkdirSync(join(this.#folder, 'state'));
    this.#spawn('slurmctld', '-D');
    for (const node of NODES) this.#spawn('slurmd', '-D', '-N', node);
    const areIdle = (): boolean => this.#ask('sinfo', '-h', '-t', 'idle', '-o', '%D') === '4';
    await waitFor('four nodes that are idle', areIdle, START_MS);
  }

  /** Runs a command of Slurm; what it prints. */
  run(program: string, ...words: readonly string[]): string {
    const { status, stdout, stderr } = this.#spawnSync(program, words);
    assert.equal(status, 0, `${program}: ${stderr}`);
    return stdout.trim();
  }

  async close(): Promise<void> {
    const running = this.#daemons.toReversed().filter(({ exitCode }) => exitCode === null);
    for (const daemon of running) daemon.kill('SIGTERM');
    const isOver = (): boolean =>
      running.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
    try {
      await waitFor('the end of Slurm', isOver, END_MS);
    } finally {
      for (const daemon of running) daemon.kill('SIGKILL');
      rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  #ask(program: string, ...words: readonly string[]): string {
    return this.#spawnSync(program, words).stdout.trim();
  }

  #spawnSync(program: string, words: readonly string[]): SpawnSyncReturns<string> {
    return spawnSync(program, words, {
      encoding: 'utf8',
      env: { ...process.env, SLURM_CONF: this.configFile },
      timeout: START_MS,
    });
  }

  #spawn(program: string, ...words: readonly string[]): void {
    const environment = { ...process.env, SLURM_CONF: this.configFile };
    const options = { stdio: 'ignore', env: environment } as const;
    this.#daemons.push(spawn(program, words, options));
  }

  async #startMunge(): Promise<void> {
    const folder = join(this.#folder, 'munge');
    const [uid, gid] = ['-u', '-g'].map((flag) =>
      Number(spawnSync('id', [flag, 'munge'], { encoding: 'utf8' }).stdout),
    ) as [number, number];
    mkdirSync(folder);
    writeFileSync(join(folder, 'key'), randomBytes(1024), { mode: 0o400 });
    for (const path of [folder, join(folder, 'key')]) chownSync(path, uid, gid);
    const of = (name: string): string => join(folder, name);
    const words = [
      ...['-F', `--socket=${of('socket')}`, `--key-file=${of('key')}`, `--pid-file=${of('pid')}`],
      ...[`--log-file=${of('log')}`, `--seed-file=${of('seed')}`],
    ];
    this.#daemons.push(spawn('munged', words, { stdio: 'ignore', uid, gid }));
    await waitFor('munge', () => existsSync(of('socket')), START_MS);
  }

  #config(ports: readonly number[]): string {
    const here = hostname().split('.')[0]!;
    const of = (name: string): string => join(this.#folder, name);
    const nodes = NODES.map(
      (node, i) =>
        `NodeName=${node} NodeHostname=${here} NodeAddr=127.0.0.1 Port=${ports[i]} CPUs=2`,
    );
    return `ClusterName=test
SlurmctldHost=${here}(127.0.0.1)
SlurmctldPort=${ports[NODES.length]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${of('munge/socket')}
StateSaveLocation=${of('state')}
SlurmctldPidFile=${of('slurmctld.pid')}
SlurmctldLogFile=${of('slurmctld.log')}
SlurmdPidFile=${of('slurmd.%n.pid')}
SlurmdSpoolDir=${of('spool.%n')}
SlurmdLogFile=${of('slurmd.%n.log')}
TmpFS=${of('tmp.%n')}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1
${nodes.join('\n')}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
  }
}
