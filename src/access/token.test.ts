import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError } from '../base/errors.ts';
import { joinLinkText, parseJoinLink } from './join-link.ts';
import { joinKeyOf, newToken, parseToken, ROLES, tokenText } from './token.ts';

const ADDRESSES = [
  { host: '192.168.1.10', port: 29_500 },
  { host: 'fd00::1:2', port: 29_500 },
];

function messageOf(action: () => unknown): string {
  let message = '';
  assert.throws(action, (error) => {
    message = error instanceof ConfigError ? error.message : '';
    return message !== '';
  });
  return message;
}

describe('a token', () => {
  test('is read as it was written, with the same key', () => {
    for (const role of ROLES) {
      const token = newToken(role);
      const read = parseToken(tokenText(token));
      assert.deepEqual(read, token);
      assert.deepEqual(joinKeyOf(read), joinKeyOf(token));
    }
  });

  test('is refused with any one character changed or missing, and never quoted', () => {
    const text = tokenText(newToken('worker'));
    for (let at = 0; at < text.length; at++) {
      const changed = text[at] === 'a' ? 'b' : 'a';
      for (const put of ['', changed]) {
        const wrong = text.slice(0, at) + put + text.slice(at + 1);
        const message = messageOf(() => parseToken(wrong));
        assert.ok(!message.includes(text.slice(22, 60)), message);
      }
    }
  });

  test('of another version says so', () => {
    assert.match(
      messageOf(() => parseToken('lk2_anything')),
      /another version of Lockstep/,
    );
  });
});

describe('a join link', () => {
  const token = newToken('worker');
  const text = joinLinkText({ addresses: ADDRESSES, token });

  test('is read as it was written, also broken over lines, and has nothing for a shell', () => {
    assert.match(text, /^[a-z0-9:/,._-]+$/);
    for (const pasted of [text, ` ${text}\n`, `${text.slice(0, 60)}\r\n  ${text.slice(60)}`])
      assert.deepEqual(parseJoinLink(pasted), { addresses: ADDRESSES, token });
  });

  test('is refused when it is cut, something else, or endless', () => {
    const wrong = ['', 'desk:29500', `lockstep://desk/${tokenText(token)}`, text.slice(0, -3)];
    for (const link of [...wrong, `lockstep://${'a:1,'.repeat(5_000)}/${tokenText(token)}`])
      assert.match(
        messageOf(() => parseJoinLink(link)),
        /^(join link|token): /,
      );
  });
});
