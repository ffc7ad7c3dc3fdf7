/**
 * A stand-in for the controller of Indexed Jobs, since no Kubernetes runs here: reads manifests,
 * starts the command of every pod as a process of this machine, with the pod's environment and its
 * index, and starts one that failed again, as often as the manifest allows. There are no containers,
 * limits or networks: all pods have the address of this machine, and what is mounted is a folder.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Owner } from '../cluster/owner.ts';
import { type Program, startProgram } from '../cluster/processes.ts';

/** Of a document that was checked before it came here. */
interface Data {
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly [key: string]: any;
}

/** The pods of one job, in a folder that goes with its owner. */
export class IndexedJob {
  readonly #owner: Owner;
  readonly #folder: string;
  readonly #port: number;
  readonly #manifests: ReadonlyMap<string, Data>;
  /** All processes of each index, the newest last. */
  readonly pods: Program[][] = [];

  constructor(owner: Owner, text: string, folder: string, port: number) {
    this.#owner = owner;
    this.#folder = folder;
    this.#port = port;
    const documents = parseAllDocuments(text).map((one) => one.toJS() as Data);
    this.#manifests = new Map(documents.map((one) => [one['kind'] as string, one]));
  }

  /** Starts all pods; resolves when every index has succeeded, or one has failed too often. */
  async run(): Promise<void> {
    const { completions, parallelism } = this.#spec;
    assert.equal(completions, parallelism, 'all run at once');
    await Promise.all(Array.from({ length: completions }, async (_, index) => this.#run(index)));
  }

  /** How the startup probe of a pod ends now. */
  probe(index: number): number | null {
    const [program, ...words] = this.#container['startupProbe'].exec.command as string[];
    const hex = this.#port.toString(16).toUpperCase().padStart(4, '0');
    const own = words.map((word) => word.replace(':733C ', `:${hex} `));
    return spawnSync(program!, own, { env: this.#environment(index, this.#folder) }).status;
  }

  get #spec(): Data {
    return this.#manifests.get('Job')!['spec'];
  }

  get #container(): Data {
    return this.#spec['template'].spec.containers[0];
  }

  async #run(index: number): Promise<void> {
    const tries = (this.pods[index] = [] as Program[]);
    for (;;) {
      const pod = this.#start(index, join(this.#folder, `pod-${index}-${tries.length}`));
      tries.push(pod);
      const { status } = await pod.end();
      if (status === 0) return;
      assert.ok(tries.length <= this.#spec['backoffLimitPerIndex'], `pod ${index}: ${pod.stderr}`);
    }
  }

  /** A new pod has nothing of an earlier one, but for the folder of runs. */
  #start(index: number, home: string): Program {
    mkdirSync(home);
    const settings = join(home, 'settings.yaml');
    writeFileSync(settings, this.#manifests.get('ConfigMap')!['data']['settings.yaml']);
    const places: Data = { '/etc/lockstep/settings.yaml': settings, '/runs': this.#folder };
    const [program, ...words] = (this.#container['command'] as string[]).map(
      (word) => (places[word] as string | undefined) ?? word,
    );
    const environment = this.#environment(index, home);
    return startProgram(this.#owner, program!, words, home, environment);
  }

  #environment(index: number, home: string): NodeJS.ProcessEnv {
    const secret = this.#manifests.get('Secret')!;
    const given = (this.#container['env'] as Data[]).map(({ name, value, valueFrom }) => {
      if (valueFrom === undefined) return [name, value] as const;
      const { name: from, key } = valueFrom.secretKeyRef;
      assert.equal(from, secret['metadata'].name);
      return [name, secret['stringData'][key]] as const;
    });
    const places = {
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: String(this.#port),
      LOCKSTEP_HOME: home,
    };
    return { ...Object.fromEntries(given), ...places, JOB_COMPLETION_INDEX: String(index) };
  }
}
