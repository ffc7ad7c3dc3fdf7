import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  binariesFolder,
  checkOnnxRuntime,
  type RuntimeMachine,
  whyNotLoaded,
  whyUnusable,
} from './onnx-runtime.ts';

const DEBIAN: RuntimeMachine = { platform: 'linux', arch: 'x64', isMusl: false, installed: 'all' };

/** As the package has them, whatever machine this is. */
function carried(): string[] {
  const root = join(binariesFolder()!, '../..');
  return readdirSync(root).flatMap((platform) =>
    readdirSync(join(root, platform))
      .filter((arch) => existsSync(join(root, platform, arch, 'onnxruntime_binding.node')))
      .map((arch) => `${platform} ${arch}`),
  );
}

describe('whyUnusable', () => {
  test('has nothing against this machine', () => {
    checkOnnxRuntime();
  });

  test('knows every machine that the package carries a binary for, and no other', () => {
    const machines = ['linux', 'darwin', 'win32', 'freebsd'].flatMap((platform) =>
      ['x64', 'arm64', 'ia32', 'riscv64'].map((arch) => ({ ...DEBIAN, platform, arch })),
    );

    const usable = machines.filter((machine) => whyUnusable(machine) === undefined);

    const names = usable.map(({ platform, arch }) => `${platform} ${arch}`);
    assert.deepEqual(names.sort(), carried().sort());
  });

  for (const [title, change, says] of [
    [
      'a Mac with an Intel processor',
      { platform: 'darwin', installed: 'no binary' },
      /: there is no binary of it for Macs with Intel processors\. It has binaries for Linux with/,
    ],
    [
      'musl',
      { isMusl: true },
      /: its binary for linux x64 needs glibc, and this system has musl, .* node:20-slim; /,
    ],
    ['no package', { installed: 'nothing' }, /: it is not installed\. .*INSTALL=skip npm install/],
    ['a package with a hole', { installed: 'no binary' }, /: its binary .* is missing\. .*npm ci/],
  ] as const)
    test(`says in one line what is wrong with ${title}`, () => {
      const reason = whyUnusable({ ...DEBIAN, ...change });

      assert.match(reason ?? '', says);
      assert.doesNotMatch(reason ?? '', /\n/);
    });
});

describe('whyNotLoaded', () => {
  test('tells what the system said, without the stack', () => {
    const said = "libm.so.6: version `GLIBC_2.35' not found\nRequire stack:\n- /x/binding.js";

    const reason = whyNotLoaded(DEBIAN, said);

    assert.match(reason, /for linux x64 does not load: libm\.so\.6: version `GLIBC_2\.35' not f/);
    assert.doesNotMatch(reason, /\n/);
  });
});
