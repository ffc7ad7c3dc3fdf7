import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeName, parseNodeList } from './node-list.ts';

describe('parseNodeList', () => {
  test('reads host,port lines, with blank lines, comments, a third column and repetitions', () => {
    const nodes = parseNodeList(
      'localhost,9091\n\n# mine\n10.0.0.2, 9092 ,0.4\r\nlocalhost,9091\n::1,9093\n',
      'f',
    );

    assert.deepEqual(nodes.map(nodeName), ['localhost:9091', '10.0.0.2:9092', '[::1]:9093']);
  });

  test('names every line that it cannot use', () => {
    assert.throws(
      () => parseNodeList('a,1\nb\nc,0\nd,70000\ne,9,2\nf g,9\nh,9,0.1,x\n', 'nodes.txt'),
      (error: Error) => {
        assert.match(error.message, /^nodes\.txt: line 2: expected host,port, got "b"; line 3/);
        assert.deepEqual(error.message.match(/line \d/g), [
          'line 2',
          'line 3',
          'line 4',
          'line 5',
          'line 6',
          'line 7',
        ]);
        return true;
      },
    );
  });
});
