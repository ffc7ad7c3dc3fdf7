import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Version of this installation, as in package.json. */
export const VERSION = manifest.version;

/** What this process tells its peers that it is. */
export const SOFTWARE = `lockstep ${VERSION}, Node.js ${process.version}, ${process.platform}-${process.arch}`;
