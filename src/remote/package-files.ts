/**
 * What is installed here, packed for hosts of some platform: the program, its data, and the
 * packages that it needs, so that a host needs no registry and has the very same versions.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { LockstepError } from '../base/errors.ts';
import { ending } from './child-ending.ts';

const PACK_MS = 120_000;
const LIMIT_BYTES = 1 << 20;
/** What an installed package has, and a host needs. */
const PARTS = ['package.json', 'LICENSE', 'bin', 'dist', 'datasets'];
/** It holds binaries of all platforms, 290 MB of them. */
const BINARIES = 'onnxruntime-node';

/** The platform of a host, as Node.js names it: `linux` and `x64`. */
export interface Platform {
  readonly platform: string;
  readonly arch: string;
}

interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Version and build of the package in `root`: the same only for the same program. */
export function packageId(root: string): string {
  const hash = createHash('sha256');
  const dist = join(root, 'dist');
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' }).sort())
    if (file.endsWith('.js')) hash.update(`${file}\0`).update(readFileSync(join(dist, file)));
  hash.update(readFileSync(join(root, 'package.json')));
  return `${manifestOf(root).version}-${hash.digest('hex').slice(0, 12)}`;
}

/** Packs what is installed, once for each platform; `close` removes the files. */
export class PackageFiles {
  readonly #root: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'lockstep-package-'));
  readonly #packed = new Map<string, Promise<string>>();

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * A `.tar.gz` for a platform. Throws: HOST_FAILED when `tar` cannot make it, or ONNX Runtime has
   * no binary for the platform.
   */
  async fileFor(platform: Platform): Promise<string> {
    const key = `${platform.platform}-${platform.arch}`;
    const known = this.#packed.get(key) ?? this.#pack(key, platform);
    this.#packed.set(key, known);
    return known;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #pack(key: string, platform: Platform): Promise<string> {
    const stage = join(this.#folder, key);
    mkdirSync(join(stage, 'node_modules'), { recursive: true });
    for (const part of PARTS)
      if (existsSync(join(this.#root, part)))
        symlinkSync(join(this.#root, part), join(stage, part));
    for (const [name, folder] of neededPackages(this.#root)) {
      const place = join(stage, 'node_modules', name);
      mkdirSync(dirname(place), { recursive: true });
      if (name === BINARIES) stageBinaries(folder, place, platform);
      else symlinkSync(folder, place);
    }
    const file = `${stage}.tar.gz`;
    await tar(['-c', '-h', '-z', '-f', file, '-C', stage, '.']);
    return file;
  }
}

/** ONNX Runtime with the binaries of one platform. */
function stageBinaries(folder: string, place: string, { platform, arch }: Platform): void {
  mkdirSync(place);
  for (const part of readdirSync(folder))
    if (part !== 'bin') symlinkSync(join(folder, part), join(place, part));
  for (const api of readdirSync(join(folder, 'bin'))) {
    const binaries = join(folder, 'bin', api, platform, arch);
    if (!existsSync(binaries)) throw noBinary(platform, arch);
    mkdirSync(join(place, 'bin', api, platform), { recursive: true });
    symlinkSync(binaries, join(place, 'bin', api, platform, arch));
  }
}

/** Folders of all packages that the one in `root` needs to run, by name. */
function neededPackages(root: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const look = (from: string): void => {
    const { dependencies = {}, optionalDependencies = {} } = manifestOf(from);
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const folder = folderOf(name, from);
      // Of another version of the same package the one that is nearer to us stays inside its user.
      if (folder === undefined || found.has(name)) continue;
      found.set(name, folder);
      look(folder);
    }
  };
  look(root);
  return found;
}

/** Where a package finds another one; undefined when it is not installed. */
function folderOf(name: string, from: string): string | undefined {
  for (let at = realpathSync(from); ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name);
    if (existsSync(join(folder, 'package.json'))) return realpathSync(folder);
    if (dirname(at) === at) return undefined;
  }
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

async function tar(words: readonly string[]): Promise<void> {
  const child = spawn('tar', words, { stdio: ['ignore', 'ignore', 'pipe'], windowsHide: true });
  const end = await ending(child, PACK_MS, LIMIT_BYTES);
  if (end.kind === 'ended' && end.exitCode === 0) return;
  const why = end.kind === 'no-program' ? end.why : end.stderr.trim() || end.kind;
  throw new LockstepError('HOST_FAILED', `packing what is installed here, with tar: ${why}`);
}

function noBinary(platform: string, arch: string): LockstepError {
  return new LockstepError(
    'HOST_FAILED',
    `ONNX Runtime as it is installed here has no binary for ${platform} on ${arch}. Leave this ` +
      'host out; docs/platforms.md lists what there is',
  );
}
