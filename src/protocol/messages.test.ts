import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ProtocolError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import {
  parseToCoordinator,
  parseToWorker,
  type ToCoordinator,
  type ToWorker,
} from './messages.ts';

type Samples<T extends { kind: string }> = { readonly [K in T['kind']]: Extract<T, { kind: K }> };

const TO_COORDINATOR: Samples<ToCoordinator> = {
  hello: {
    kind: 'hello',
    protocol: 1,
    channel: 'control',
    workerId: 'w',
    session: '',
    host: 'h',
    processId: 7,
    lanes: 2,
    software: 'lockstep 0',
    rank: null,
  },
  sendSamples: { kind: 'sendSamples', split: 'd', part: 'x', offset: 0, byteLength: 9 },
  ready: { kind: 'ready', dataDigest: 'd', numericsClass: 'n', loadMs: 1.5 },
  grouped: { kind: 'grouped', generation: 2 },
  fenced: { kind: 'fenced', generation: 2, pass: 3 },
  reduced: { kind: 'reduced', pass: 3 },
  released: { kind: 'released', pass: 3, microBatches: [1, 2] },
  contribution: {
    kind: 'contribution',
    pass: 3,
    records: [
      {
        microBatch: 0,
        sampleCount: 4,
        lossSum: null,
        correctSum: 1,
        maxima: [0.5, null],
        computeMs: 2,
      },
    ],
    busyMs: 1,
  },
  audited: {
    kind: 'audited',
    pass: 3,
    records: [
      { microBatch: 0, sampleCount: 4, lossSum: 2, correctSum: 1, maxima: [0.5], computeMs: 2 },
    ],
  },
  applied: { kind: 'applied', step: 3, norms: [1, 2.5] },
  state: { kind: 'state', step: 3, offset: 0 },
  serving: { kind: 'serving', secret: 's', stateDigest: 'd' },
  fetched: { kind: 'fetched', serial: 2 },
  digest: { kind: 'digest', step: 3, ask: 1, weightsDigest: 'w', stateDigest: 's' },
  heartbeat: { kind: 'heartbeat', progress: 12 },
  failed: { kind: 'failed', reason: 'no memory' },
};

const TO_WORKER: Samples<ToWorker> = {
  samples: { kind: 'samples', split: 'd', part: 'y', offset: 0, byteLength: 9, isPacked: true },
  welcome: {
    kind: 'welcome',
    session: 's',
    rank: 0,
    reach: { isOpen: false, key: null },
    job: {
      runId: 'r',
      seed: 1,
      dataset: { name: 'mnist', nested: { a: [1] } },
      dataDigest: 'd',
      task: 'classification',
      featureCount: 784,
      targetCount: 1,
      microBatch: 32,
      globalBatch: 128,
      evaluateMicroBatch: 256,
      parameters: [{ name: 'w', shape: [784, 10], statisticMomentum: null }],
      masks: [{ name: 'mask.0', shape: [32, 64], rate: 0.5 }],
      optimizer: { name: 'adam' },
      clipNorm: null,
      tracksNorms: false,
      isAudited: false,
      strategy: { kind: 'sync' },
      trainBytes: 10,
      evaluateBytes: 10,
    },
  },
  refused: { kind: 'refused', reason: 'r' },
  plan: {
    kind: 'plan',
    pass: 1,
    work: 'train',
    step: 0,
    epoch: 0,
    stepInEpoch: 0,
    leases: [0, 1],
    exponents: [-3, 20],
    reduction: 'star',
  },
  group: {
    kind: 'group',
    generation: 1,
    collective: 'ring',
    secret: 's',
    index: 0,
    size: 2,
    sumBytes: 16,
    noteBytes: 32,
    rings: [{ kind: 'all', members: [0, 1], doors: [{ host: '127.0.0.1', port: 4000 }] }],
  },
  fence: { kind: 'fence', generation: 1 },
  reduce: {
    kind: 'reduce',
    pass: 1,
    step: 0,
    exponents: [1],
    update: { sampleCount: 4, scalars: { learningRate: 0.1 } },
  },
  lease: { kind: 'lease', pass: 1, microBatches: [4] },
  audit: { kind: 'audit', pass: 1, microBatches: [2] },
  release: { kind: 'release', pass: 1, count: 2 },
  commit: {
    kind: 'commit',
    pass: 1,
    step: 0,
    exponents: [1],
    update: { sampleCount: 4, scalars: { learningRate: 0.1 } },
  },
  grant: { kind: 'grant', step: 0, updates: [{ sampleCount: 4, scalars: { learningRate: 0.1 } }] },
  sendState: { kind: 'sendState', step: 1 },
  serveState: { kind: 'serveState', step: 1, secret: 's' },
  fetchState: {
    kind: 'fetchState',
    step: 1,
    serial: 2,
    byteLength: 4,
    stateDigest: 'd',
    secret: 's',
    doors: [{ host: '127.0.0.1', port: 4000 }],
  },
  state: { kind: 'state', step: 1, serial: 1 },
  sendDigest: { kind: 'sendDigest', step: 1, ask: 1 },
  heartbeat: { kind: 'heartbeat', progress: 0 },
  goodbye: { kind: 'goodbye', reason: 'done' },
};

const DIRECTIONS: readonly {
  readonly name: string;
  readonly parse: (header: unknown, peer: string) => object;
  readonly samples: Readonly<Record<string, object>>;
}[] = [
  { name: 'parseToCoordinator', parse: parseToCoordinator, samples: TO_COORDINATOR },
  { name: 'parseToWorker', parse: parseToWorker, samples: TO_WORKER },
];

/** Every path to a value inside `value`, outermost first. */
function pathsIn(value: unknown): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    [key],
    ...pathsIn(inner).map((path) => [key, ...path]),
  ]);
}

/** A copy of `value` in which what is at `path` is replaced, or removed without a replacement. */
function changed(value: object, path: readonly (string | number)[], replacement?: unknown): object {
  const copy = structuredClone(value) as Record<string | number, unknown>;
  let holder = copy;
  for (const key of path.slice(0, -1)) holder = holder[key] as typeof copy;
  const last = path.at(-1)!;
  if (replacement === undefined) delete holder[last];
  else holder[last] = replacement;
  return copy;
}

/** Parts whose content is interpreted elsewhere, or may hold anything of their type. */
function isFree(path: readonly (string | number)[]): boolean {
  return path.length > 2 && (path[1] === 'dataset' || path[1] === 'optimizer');
}

for (const { name, parse, samples } of DIRECTIONS) {
  describe(name, () => {
    test('gives back every kind of message as it was sent', () => {
      for (const message of Object.values(samples)) {
        assert.deepEqual(parse(JSON.parse(JSON.stringify(message)), 'peer'), message);
      }
    });

    test('leaves out keys that it does not know', () => {
      for (const message of Object.values(samples)) {
        assert.deepEqual(parse({ ...message, fromTheFuture: 1 }, 'peer'), message);
      }
    });

    test('refuses a message that lacks any of its fields', () => {
      for (const message of Object.values(samples)) {
        for (const path of pathsIn(message)) {
          if (isFree(path) || !Number.isNaN(Number(path.at(-1))) || path.at(-2) === 'scalars')
            continue;
          assert.throws(
            () => parse(changed(message, path), 'peer'),
            ProtocolError,
            `${path.join('.')} missing`,
          );
        }
      }
    });

    test('refuses a message in which any field has another type', () => {
      for (const message of Object.values(samples)) {
        for (const path of pathsIn(message)) {
          if (isFree(path)) continue;
          for (const wrong of [true, { a: 1 }]) {
            if (
              ['tracksNorms', 'isAudited', 'isOpen', 'isPacked'].includes(String(path.at(-1))) ||
              (typeof wrong === 'object' && isRecord(path))
            )
              continue;
            const text = `${path.join('.')} = ${JSON.stringify(wrong)}`;
            assert.throws(() => parse(changed(message, path, wrong), 'peer'), ProtocolError, text);
          }
        }
      }
    });

    test('refuses unknown kinds and things that are no messages, naming the peer', () => {
      for (const header of [
        { kind: 'attack' },
        {},
        [],
        null,
        7,
        'hello',
        { kind: { toString: 'x' } },
        { kind: '__proto__' },
      ]) {
        assert.throws(() => parse(header, 'worker 3'), {
          name: 'ProtocolError',
          message: /worker 3/,
        });
      }
    });

    test('refuses counts that are negative, fractional or too large to be exact', () => {
      for (const progress of [-1, 0.5, 2 ** 53, 1e300]) {
        assert.throws(
          () => parse({ kind: 'heartbeat', progress }, 'peer'),
          ProtocolError,
          String(progress),
        );
      }
    });

    test('refuses clocks that no machine has, which no jump could be computed from', () => {
      for (const ms of [-1, 1e300])
        for (const clock of ['wallMs', 'upMs'])
          assert.throws(
            () => parse({ kind: 'heartbeat', progress: 1, [clock]: ms }, 'peer'),
            ProtocolError,
          );
    });

    test('throws nothing but ProtocolError, whatever comes', () => {
      const kinds = fc.constantFrom(...Object.keys(samples));
      const anything = fc.anything({
        withNullPrototype: true,
        withBigInt: true,
        withDate: true,
        withSparseArray: true,
      });
      fc.assert(
        fc.property(
          anything,
          kinds,
          fc.dictionary(fc.string(), anything),
          (value, kind, fields) => {
            throwsOnlyProtocolErrors(() => parse(value, 'peer'));
            throwsOnlyProtocolErrors(() => parse({ ...fields, kind }, 'peer'));
          },
        ),
      );
    });

    test('throws nothing but ProtocolError when one field holds anything', () => {
      const choices = Object.values(samples).flatMap((message) =>
        pathsIn(message).map((path) => ({ message, path })),
      );
      fc.assert(
        fc.property(fc.constantFrom(...choices), fc.anything(), ({ message, path }, value) => {
          throwsOnlyProtocolErrors(() => parse(changed(message, path, value), 'peer'));
        }),
      );
    });

    test('leaves the prototype of all objects alone', () => {
      const text =
        '{"kind":"heartbeat","progress":1,"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';

      parse(JSON.parse(text), 'peer');

      assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
    });
  });
}

const HOSTILE = '\n::error::\u001b[2J\u009b1m\u202e##[error]\ud800\u2028';

/** Names that must stay what they are, and what other parsers interpret; errors quote them. */
function isForPrograms(path: readonly (string | number)[]): boolean {
  return (
    isFree(path) || (path[0] === 'job' && path.at(-1) === 'name') || path.at(-2) === 'strategy'
  );
}

function isHarmless(value: unknown): boolean {
  if (typeof value === 'string') return printable(value, 4096) === value;
  return Object.values(value ?? {}).every(isHarmless);
}

test('text of a peer that a terminal or a CI system would obey is refused or made harmless', () => {
  for (const { parse, samples } of DIRECTIONS) {
    for (const message of Object.values(samples)) {
      for (const path of pathsIn(message)) {
        if (isForPrograms(path)) continue;
        try {
          const parsed = parse(changed(message, path, HOSTILE), 'peer');
          assert.ok(isHarmless(parsed), path.join('.'));
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          assert.ok(isHarmless(error.message), path.join('.'));
        }
      }
    }
  }
});

test('a key of a peer that is wrong is named harmlessly', () => {
  const scalars = { [HOSTILE]: 'not a number' };
  const message = { ...TO_WORKER.commit, update: { sampleCount: 1, scalars } };

  assert.throws(
    () => parseToWorker(message, 'peer'),
    (error) => error instanceof ProtocolError && isHarmless(error.message),
  );
});

function isRecord(path: readonly (string | number)[]): boolean {
  return ['dataset', 'optimizer', 'scalars'].includes(String(path.at(-1)));
}

function throwsOnlyProtocolErrors(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}

describe('parseToCoordinator of a huge message', () => {
  test('takes as many records as fit into a frame', () => {
    const record = TO_COORDINATOR.contribution.records[0]!;
    const records = Array.from({ length: 5000 }, (_, microBatch) => ({ ...record, microBatch }));

    const message = parseToCoordinator({ ...TO_COORDINATOR.contribution, records }, 'peer');

    assert.equal(message.kind === 'contribution' && message.records.length, 5000);
  });

  test('refuses an array of a hundred thousand wrong elements at the first one, in a short message', () => {
    const records = Array.from({ length: 100_000 }, () => 'wrong');

    assert.throws(
      () => parseToCoordinator({ ...TO_COORDINATOR.contribution, records }, 'peer'),
      (error) =>
        error instanceof ProtocolError &&
        /records\.0/.test(error.message) &&
        error.message.length < 300,
    );
  });

  test('refuses jobs that ask for more than any setting can', () => {
    const { job } = TO_WORKER.welcome;
    const [parameter] = job.parameters;
    for (const changes of [
      { microBatch: 0 },
      { microBatch: 65_537 },
      { globalBatch: 16_777_217 },
      { evaluateMicroBatch: 0 },
      { evaluateMicroBatch: 65_537 },
      { parameters: [{ ...parameter, shape: Array<number>(33).fill(1) }] },
      { parameters: [{ ...parameter, shape: [0] }] },
      { parameters: Array.from({ length: 100_001 }, () => parameter) },
      { parameters: [parameter, parameter] },
      { masks: [{ name: 'mask.0', shape: [0], rate: 0 }] },
    ])
      assert.throws(
        () => parseToWorker({ ...TO_WORKER.welcome, job: { ...job, ...changes } }, 'peer'),
        { name: 'ProtocolError', message: new RegExp(Object.keys(changes)[0]!) },
      );
  });

  test('refuses words longer than 4096 characters', () => {
    assert.throws(
      () => parseToCoordinator({ ...TO_COORDINATOR.hello, workerId: 'x'.repeat(4097) }, 'peer'),
      ProtocolError,
    );
  });
});

describe('a record of a micro-batch', () => {
  const parsed = (maximum: unknown): unknown =>
    parseToCoordinator(
      changed(TO_COORDINATOR.contribution, ['records', 0, 'maxima', 0], maximum),
      'peer',
    );

  test('may hold maxima up to the largest float32', () => {
    for (const maximum of [0, 2 ** -149, 2 ** 128 - 2 ** 104]) parsed(maximum);
  });

  test('is refused with maxima that are no magnitude of a float32', () => {
    for (const maximum of [2 ** 128, 1e39, 1e300, Infinity, Number.NaN, -1, -1e-45])
      assert.throws(() => parsed(maximum), ProtocolError, String(maximum));
  });
});
