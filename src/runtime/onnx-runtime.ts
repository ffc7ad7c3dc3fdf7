/** Loads ONNX Runtime, or says in a sentence why this machine cannot. */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { messageOf, RuntimeError } from '../base/errors.ts';

// ONNX Runtime is CommonJS: `require` loads it 40 ms faster than an import would.
const require = createRequire(import.meta.url);

/**
 * The ONNX Runtime module; loaded once per thread, on first use.
 *
 * Throws: RuntimeError when it has no binary for this machine, or is not installed completely.
 */
export function onnxRuntime(): typeof import('onnxruntime-node') {
  try {
    return require('onnxruntime-node') as typeof import('onnxruntime-node');
  } catch (error) {
    const machine = machineHere();
    const reason = whyUnusable(machine) ?? whyNotLoaded(machine, messageOf(error));
    throw new RuntimeError(reason, {}, { cause: error });
  }
}

/**
 * Looks whether ONNX Runtime can be loaded here, without loading it: a few files are looked for.
 *
 * Throws: RuntimeError when it has no binary for this machine, or is not installed completely.
 */
export function checkOnnxRuntime(): void {
  const reason = whyUnusable(machineHere());
  if (reason !== undefined) throw new RuntimeError(reason);
}

/** What decides whether ONNX Runtime can be loaded. */
export interface RuntimeMachine {
  /** As `process.platform` and `process.arch` have it. */
  readonly platform: string;
  readonly arch: string;
  /** Whether this is a Linux whose C library is musl, as Alpine's is. */
  readonly isMusl: boolean;
  /** How much is there of the package `onnxruntime-node`. */
  readonly installed: 'nothing' | 'no binary' | 'all';
}

/** Machines for which the package carries a binary: platform and processor. */
const CARRIED = ['linux x64', 'linux arm64', 'darwin arm64', 'win32 x64', 'win32 arm64'];

const LOADING = 'loading ONNX Runtime, which computes for Lockstep';
const INSTALL =
  'Install Lockstep again: `npm ci` in a clone, else ' +
  '`ONNXRUNTIME_NODE_INSTALL=skip npm install` and its name or tarball';
const ELSEWHERE =
  'It has binaries for Linux with glibc (x64, arm64), Macs with Apple silicon, and Windows (x64, ' +
  'arm64); docs/platforms.md tells more';

/** Why a machine cannot load ONNX Runtime, and what to do; undefined when nothing speaks against. */
export function whyUnusable({
  platform,
  arch,
  isMusl,
  installed,
}: RuntimeMachine): string | undefined {
  const name = `${platform} ${arch}`;
  if (!CARRIED.includes(name)) {
    const what = name === 'darwin x64' ? 'Macs with Intel processors' : name;
    return `${LOADING}: there is no binary of it for ${what}. ${ELSEWHERE}.`;
  }
  if (isMusl)
    return (
      `${LOADING}: its binary for ${name} needs glibc, and this system has musl, as Alpine does. ` +
      'Use a system or an image with glibc, such as node:20-slim; docs/platforms.md tells more.'
    );
  if (installed === 'nothing') return `${LOADING}: it is not installed. ${INSTALL}.`;
  if (installed === 'no binary')
    return `${LOADING}: its binary for ${name} is missing. ${INSTALL}.`;
  return undefined;
}

/** Why the system did not load a binary that is there, given what it said. */
export function whyNotLoaded({ platform, arch }: RuntimeMachine, said: string): string {
  const [line = ''] = said.split('\n');
  return (
    `${LOADING}: its binary for ${platform} ${arch} does not load: ${line}. If a library or a ` +
    `version is named, this system lacks it; else a file may be damaged. ${INSTALL}.`
  );
}

/** The folder where the package has its binaries for this machine; undefined without the package. */
export function binariesFolder(): string | undefined {
  try {
    const folder = dirname(require.resolve('onnxruntime-node/package.json'));
    return join(folder, 'bin', 'napi-v6', process.platform, process.arch);
  } catch {
    return undefined; // Whatever the reason, it is not there for us.
  }
}

function machineHere(): RuntimeMachine {
  const { platform, arch } = process;
  const folder = binariesFolder();
  const isThere = folder !== undefined && hasBinary(folder);
  return {
    platform,
    arch,
    isMusl: platform === 'linux' && isMuslLinux(),
    installed: folder === undefined ? 'nothing' : isThere ? 'all' : 'no binary',
  };
}

/** Whether a folder has both: what Node.js loads, and the library that this loads. */
function hasBinary(folder: string): boolean {
  if (!existsSync(join(folder, 'onnxruntime_binding.node'))) return false;
  return readdirSync(folder).some((name) => /^(lib)?onnxruntime\.(so|dll|\d)/.test(name));
}

/** Whether there is a loader of programs for musl only. */
function isMuslLinux(): boolean {
  const loaders = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1'];
  if (loaders.some((path) => existsSync(path)) || !existsSync('/lib')) return false;
  return readdirSync('/lib').some((name) => name.startsWith('ld-musl-'));
}
