/**
 * What a user and their scripts see of Lockstep: help texts, the files that commands leave with
 * their keys, exit codes and messages. Taken from a checkout as texts, to be compared with those of
 * another one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { keyPathsOf } from './key-paths.ts';

/** Texts by the name of the file that they are recorded in. */
export type Observation = ReadonlyMap<string, string>;

/** Processes at once: most of their time they wait for each other. */
const CONCURRENCY = 4;
const DEADLINE_MS = 120_000;

/** Observes the checkout at `root`, which must be built; `folder` is empty and left full. */
export async function observe(root: string, folder: string): Promise<Observation> {
  const shell = new Shell(root, folder);
  const seen = new Map<string, string>();
  try {
    const jobs = [
      ...SCENARIOS.map((scenario) => async () => {
        seen.set(`files/${scenario.name}.txt`, await filesOf(shell, scenario));
      }),
      async () => void seen.set('wrong-input.txt', await wrongInput(shell)),
      async () => addHelp(shell, seen),
    ];
    await inPool(jobs);
    return new Map([...seen].sort(([a], [b]) => (a < b ? -1 : 1)));
  } finally {
    shell.end();
  }
}

async function inPool(jobs: readonly (() => Promise<void>)[]): Promise<void> {
  const waiting = [...jobs];
  const work = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await job();
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
}

/** How a command ended and what it said. */
interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `lockstep` of one checkout; nothing that it has started outlives `end`. */
class Shell {
  readonly folder: string;
  readonly root: string;
  readonly #children = new Set<ChildProcess>();

  constructor(root: string, folder: string) {
    this.root = root;
    this.folder = folder;
  }

  /** Starts a command in the folder `place` of this shell's. */
  start(place: string, args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
    return this.node(place, [join(this.root, 'bin/lockstep.js'), ...args]);
  }

  /** Starts Node.js with these arguments. */
  node(place: string, args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
    const { NODE_TEST_CONTEXT: _, FORCE_COLOR: __, COLUMNS: ___, ...inherited } = process.env;
    const cwd = join(this.folder, place);
    mkdirSync(cwd, { recursive: true });
    const child = spawn(process.execPath, args, {
      cwd,
      env: { ...inherited, LOCKSTEP_NO_BUILD: '1', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: DEADLINE_MS,
    });
    this.#children.add(child);
    const said = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
    const ended = new Promise<Ended>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => {
        this.#children.delete(child);
        resolve({ status, ...said });
      });
    });
    return { child, ended };
  }

  async run(place: string, args: readonly string[]): Promise<Ended> {
    return this.start(place, args).ended;
  }

  end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

/**
 * Asks the door of Lockstep for the help of a command and of every command below it, and for all of
 * it where that is more, in one process: `dist/cli/main.js` is loaded once for each, as if it were started with these arguments.
 */
const HELP_PROGRAM = `
  const [door] = process.argv.slice(1);
  const texts = {};
  const write = process.stdout.write.bind(process.stdout);
  const page = async (...words) => {
    let text = '';
    process.stdout.write = (part) => ((text += part), true);
    process.argv = [process.execPath, 'lockstep', ...words];
    await import(door + '?' + words.join('-'));
    return text;
  };
  const ask = async (path) => {
    const text = await page(...path, '--help');
    const all = await page(...path, '--help', '--all');
    const name = ['lockstep', ...path].join('-');
    texts[name] = text;
    if (all !== text) texts[name + '--all'] = all;
    for (const [, list] of text.matchAll(/ommands:\\n((?: .*\\n)+)/g))
      for (const [, below] of list.matchAll(/^ {2}([\\w-]+)/gm))
        if (below !== 'help') await ask([...path, below]);
  };
  process.setMaxListeners(0);
  await ask([]);
  write(JSON.stringify(texts));`;

async function addHelp(shell: Shell, seen: Map<string, string>): Promise<void> {
  const door = pathToFileURL(join(shell.root, 'dist/cli/main.js')).href;
  const { status, stdout, stderr } = await shell.node('.', [
    ...['--input-type', 'module', '-e', HELP_PROGRAM, door],
  ]).ended;
  if (status !== 0) throw new Error(`asking for help: ${stderr}`);
  const texts = JSON.parse(stdout) as Record<string, string>;
  for (const [name, text] of Object.entries(texts)) seen.set(`help/${name}.txt`, text);
}

/** Commands that leave files, in a folder of their own. */
interface Scenario {
  readonly name: string;
  /** What happens, given how to run a command and note down how it ended. */
  readonly play: (run: (...args: string[]) => Promise<Ended>, stage: Stage) => Promise<void>;
}

/** What a scenario may need beside commands that end by themselves. */
interface Stage {
  readonly folder: string;
  start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> };
}

const SMALL = '--hidden 16 --lanes 1 --out-dir . --json'.split(' ');

/** So many workers and steps that every kind of record is written, and no more. */
const SCENARIOS: readonly Scenario[] = [
  {
    name: 'fault-test',
    play: async (run) =>
      void (await run(
        ...words('fault-test --faults wrong_data --workers 2 --steps 8 --output report.json'),
      )),
  },
  {
    name: 'letters',
    play: async (run, stage) => {
      await run('data', 'letters', 'letters');
      const node = stage.start(...words('compute-node 0 0 --host 127.0.0.1'));
      writeFileSync(join(stage.folder, 'nodes'), `127.0.0.1,${await portOf(node.child)}\n`);
      const desk = stage.start(...words('coordinator-node 0 1 --host 127.0.0.1 --nodes nodes'));
      const port = await portOf(desk.child);
      await run(...words(`client 127.0.0.1 ${port} letters 1 1 4 0.0001 --out-dir out --json`));
      for (const { child, ended } of [node, desk]) {
        child.kill('SIGTERM');
        await ended;
      }
    },
  },
  {
    name: 'suite',
    play: async (run) => {
      const how = words('--workers 1 --steps 8 --json --health-checkpoint-path health.json');
      await run('run', ...how, '--output', 'one.json', '--plain', 'plain.json');
      await run('run', ...how, '--output', 'other.json', '--seed', '43');
      await run(...words('validate one.json one.json --exact --json --output same.json'));
      await run(...words('validate one.json other.json --json --output different.json'));
      await run(...words('baseline save --metrics one.json --name main'));
      await run(
        ...words('baseline compare --metrics one.json --name main --json --output compared.json'),
      );
    },
  },
  {
    name: 'train-sync',
    play: async (run) =>
      void (await run(
        ...words('train --dataset digits --workers 2 --epochs 1 --eval-every 5 --track-gradients'),
        ...['--name', 'sync', ...SMALL],
      )),
  },
  {
    name: 'train-rounds',
    play: async (run) =>
      void (await run(
        ...words('train --strategy rounds --dataset digits --workers 2 --rounds 2 --shards 2'),
        ...['--name', 'rounds', ...SMALL],
      )),
  },
  {
    name: 'train-interrupted',
    play: async (_run, stage) => {
      const args = words('train --dataset digits --workers 1 --steps 1000000 --eval-every 1000000');
      const { child, ended } = stage.start(...args, '--name', 'long', ...SMALL);
      const [, address = ''] = await saying(child, /coordinator (\S+:\d+)/);
      await saying(child, /step \d+\//);
      // With who joins now there is a state to make a model of, however fast the machine is.
      const helper = stage.start('worker', '--join', address, '--lanes', '1');
      await appearing(join(stage.folder, 'long/logs/rank_1_metrics.json.partial'));
      child.kill('SIGINT');
      await ended;
      await helper.ended;
    },
  },
  {
    name: 'train-failed',
    play: async (run) =>
      void (await run(
        ...words('train --dataset digits --workers 1 --optimizer sgd --lr 1000 --hidden 999,999'),
        ...words('--lanes 1 --out-dir . --json --name failed'),
      )),
  },
  {
    name: 'train-tokens',
    play: async (run) =>
      void (await run(
        ...words('train --model gpt --dataset moby_dick --layers 1 --width 16 --heads 1 --steps 1'),
        ...words('--sequence-length 16 --global-batch 32 --workers 1 --lanes 1 --out-dir . --json'),
        ...['--name', 'tokens'],
      )),
  },
];

function words(text: string): string[] {
  return text.split(' ');
}

/** The commands of a scenario with their exit codes, then its files with their keys. */
async function filesOf(shell: Shell, { name, play }: Scenario): Promise<string> {
  // In the order in which they began: which of two ends first is chance.
  const commands: string[][] = [];
  const note = (text: string[], args: readonly string[], { status, stdout }: Ended): void => {
    text.push(`$ lockstep ${args.join(' ').replaceAll(/(127\.0\.0\.1[ :])\d+/g, '$1<port>')}`);
    text.push(`exit code ${status}`);
    if (stdout.startsWith('{')) text.push('stdout', ...indented(keyPathsOf('.json', stdout)));
  };
  const start: Stage['start'] = (...args) => {
    const text: string[] = [];
    commands.push(text);
    const { child, ended } = shell.start(name, args);
    return { child, ended: ended.then((how) => (note(text, args, how), how)) };
  };
  const folder = join(shell.folder, name);
  mkdirSync(folder);
  await play(async (...args) => start(...args).ended, { folder, start });
  const files = readdirSync(folder, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
  const lines = commands.flat();
  for (const file of files)
    if (!isOlderCheckpoint(file, files)) {
      const keys = keyPathsOf(file, readFileSync(join(folder, file), 'utf8'));
      lines.push(file.replace(CHECKPOINT, '/step_<n>/'), ...indented(keys));
    }
  return `${lines.join('\n')}\n`;
}

const CHECKPOINT = /\/step_(\d+)\//;

/** How many checkpoints there are besides the newest of a run depends on its speed. */
function isOlderCheckpoint(file: string, files: readonly string[]): boolean {
  const [place, step] = CHECKPOINT.exec(file) ?? [];
  if (place === undefined) return false;
  const [run, name] = file.split(place);
  return files.some((other) => {
    const [otherPlace, otherStep] = CHECKPOINT.exec(other) ?? [];
    return other === `${run}${otherPlace}${name}` && Number(otherStep) > Number(step);
  });
}

function indented(paths: readonly string[] | undefined): string[] {
  return (paths ?? []).map((path) => `  ${path}`);
}

/** Resolves once a command has said something on stderr. Throws when it ends without. */
async function saying(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let said = '';
  return new Promise((resolve, reject) => {
    child.stderr?.on('data', (text: string) => {
      said += text;
      const match = pattern.exec(said);
      if (match !== null) resolve(match);
    });
    child.once('close', () => reject(new Error(`it ended without ${pattern}: ${said}`)));
  });
}

/** Resolves once there is such a file. */
async function appearing(path: string): Promise<void> {
  for (const endMs = Date.now() + DEADLINE_MS; !existsSync(path);) {
    if (Date.now() > endMs) throw new Error(`no ${path} within ${DEADLINE_MS} ms`);
    await new Promise((later) => setTimeout(later, 50));
  }
}

async function portOf(child: ChildProcess): Promise<string> {
  return (await saying(child, /listens on \S+:(\d+)/))[1]!;
}

const WRONG_INPUT: readonly string[] = [
  'trian',
  'train --worker 3',
  'train --global-batch 100',
  'train --epochs 0 --lr x',
  'train wrong.yaml',
  'train --dataset missing.csv',
  'train --model missing.onnx',
  'train --out-dir . --name there',
  'worker --join nowhere',
  'generate missing',
  'coordinator-node 0 4',
  'client 127.0.0.1 9095 letters 0 1 1 0.1',
  'run --workload lstm',
  'fault-test --faults nan',
  'validate missing.json missing.json',
  'baseline compare --metrics missing.json --name main',
  'report check wrong.yaml',
];

/** Exit codes and messages of what cannot be done. */
async function wrongInput(shell: Shell): Promise<string> {
  const folder = join(shell.folder, 'wrong');
  mkdirSync(join(folder, 'there'), { recursive: true });
  writeFileSync(join(folder, 'wrong.yaml'), 'micro_bach: 3\nepochs: none\n');
  const half = Math.ceil(WRONG_INPUT.length / 2);
  const [first, second] = await Promise.all(
    [WRONG_INPUT.slice(0, half), WRONG_INPUT.slice(half)].map(async (commands) => {
      const texts: string[] = [];
      for (const command of commands) {
        const { status, stdout, stderr } = await shell.run('wrong', words(command));
        texts.push(`$ lockstep ${command}\nexit code ${status}\n${stdout}${stderr}`);
      }
      return texts;
    }),
  );
  const left = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort().join(' ');
  const text = [...first!, ...second!, `files: ${left}\n`].join('\n');
  return text.replaceAll(shell.folder, '<folder>');
}
