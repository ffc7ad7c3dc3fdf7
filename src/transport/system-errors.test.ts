import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cannotListen, fromSystemError } from './system-errors.ts';

const systemError = (code: string): Error => Object.assign(new Error(code), { code });

describe('fromSystemError', () => {
  test('says what we have too little of, and what to do; of others the code', () => {
    const files = fromSystemError(systemError('EMFILE'), 'desk:1').message;
    const machine = fromSystemError(systemError('ENFILE'), 'desk:1').message;
    const memory = fromSystemError(systemError('ENOMEM'), 'desk:1').message;
    const buffers = fromSystemError(systemError('ENOBUFS'), 'desk:1').message;

    assert.match(files, /^connection to desk:1: this process has .*\(EMFILE\)\. .*`ulimit -n`/);
    assert.match(machine, /^connection to desk:1: this machine has .*\(ENFILE\)\. .*fs\.file-max/);
    assert.match(memory, /no memory left \(ENOMEM\)\. Use fewer --workers/);
    assert.match(buffers, /no memory left for connections \(ENOBUFS\)/);
    assert.equal(
      fromSystemError(systemError('ECONNRESET'), 'desk:1').message,
      'connection to desk:1: ECONNRESET',
    );
  });
});

describe('fromSystemError of a connection that never came about', () => {
  for (const [code, words] of [
    ['ENOTFOUND', 'nobody knows this name (ENOTFOUND)'],
    ['EAI_AGAIN', 'no name server answers (EAI_AGAIN)'],
    ['EHOSTUNREACH', 'no way leads there, or the host is off (EHOSTUNREACH)'],
    ['ENETUNREACH', 'no way leads there (ENETUNREACH)'],
  ] as const)
    test(`says what ${code} means`, () => {
      const { message, context } = fromSystemError(systemError(code), 'desk:1');

      assert.equal(message, `connection to desk:1: ${words}`);
      assert.equal(context['systemCode'], code);
    });
});

describe('cannotListen', () => {
  test('says what we have too little of', () => {
    const { message } = cannotListen(systemError('EMFILE'), { host: 'desk', port: 1 });

    assert.match(message, /^listening on desk:1: this process has as many files .*ulimit -n/);
  });
});
