import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import pc from 'picocolors';
import { ApprovalDesk } from './approval-desk.ts';

/** A desk at which lines are typed, what it shows, and its answers. */
function desk() {
  const shown: string[] = [];
  const answers: [code: string, isWelcome: boolean][] = [];
  const keyboard = {
    type: (line: string): void => assert.fail(`no question: ${line}`),
    end: (): void => {},
  };
  let isAsking = false;
  const terminal = {
    line: (text: string): void => void shown.push(text),
    ask: (_: string, type: (line: string) => void, end: () => void) => {
      isAsking = true;
      Object.assign(keyboard, { type, end });
      return { close: () => (isAsking = false) };
    },
  };
  const one = new ApprovalDesk(terminal, pc.createColors(false));
  const ask = (code: string): void => {
    const takeBack = one.ask({ code, holder: 'mini', peer: '::ffff:10.0.0.5:99' }, (isWelcome) => {
      answers.push([code, isWelcome]);
      takeBack();
    });
  };
  return { ask, keyboard, shown, answers, isAsking: () => isAsking };
}

describe('a person at the coordinator', () => {
  test('lets in whose code is typed, and turns away with no', () => {
    const { ask, keyboard, shown, answers, isAsking } = desk();
    for (const code of ['482913', '000017', '555555']) ask(code);
    assert.match(
      shown[0] ?? '',
      /^\? mini \(10\.0\.0\.5\) asks to join, with the code 482 913: type/,
    );

    keyboard.type('000 017');
    keyboard.type('no 482913');
    keyboard.type('n');

    assert.deepEqual(answers, [
      ['000017', true],
      ['482913', false],
      ['555555', false],
    ]);
    assert.equal(isAsking(), false);
  });

  test('is told what to type, and lets nobody in by anything else', () => {
    const { ask, keyboard, shown, answers } = desk();
    for (const code of ['482913', '000017']) ask(code);

    for (const line of ['', 'yes', '482914', 'no', 'no 1', '48291']) keyboard.type(line);

    assert.deepEqual(answers, []);
    assert.deepEqual(shown.slice(2, 6), [
      'type the six digits that its screen shows to let it in, or no to turn it away',
      'type the six digits that its screen shows to let it in, or no to turn it away',
      'nobody who waits has the code 482 914',
      '2 wait: type no and the code of the one that is meant',
    ]);
  });

  test('who has gone has turned everybody away', () => {
    const { ask, keyboard, answers } = desk();
    for (const code of ['482913', '000017']) ask(code);

    keyboard.end();

    assert.deepEqual(answers.flat(), ['482913', false, '000017', false]);
  });
});
