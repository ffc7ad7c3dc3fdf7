/**
 * How knip reads this project: `src/index.ts` and the programs are entered from outside, threads
 * and child processes by a path that is made at run time.
 *
 * With `--production` the tests are away, and knip is asked for exports that are dead without them;
 * an export that its own file uses may then be there for its test.
 */
import type { KnipConfig } from 'knip';

const config = ({ production = false }: { production?: boolean }): KnipConfig => ({
  entry: [
    'src/{index,cli/main}.ts!',
    'src/**/*-{thread,process}.ts!',
    'src/dashboard/page/main.ts!',
    'bench/*.ts!',
    'scripts/*.{ts,mjs}!',
    'src/**/*.{test,contract}.ts',
    'test/**/*.ts',
  ],
  project: ['{src,bench,scripts}/**/*.{ts,mjs}!', 'test/**/*.ts', '!src/**/assembly/**'],
  ignoreExportsUsedInFile: production,
});

export default config;
