import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { checkWithOnnx, onnxCheckerMissing } from '../../test/onnx-checker.ts';
import { type Normalisation, normalisationOfBytes } from '../data/dataset.ts';
import { asInFile, type SampleForm } from '../data/sample-form.ts';
import { decodeGraphFile } from '../graph/file/decode.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import type { GraphFile } from '../graph/types.ts';
import { initialParameter } from './initial-parameter.ts';
import { makeModel } from './models.ts';
import { withoutPreamble, withPreamble } from './preamble.ts';
import { makeInferenceFile } from './step-graphs.ts';

const target = { kind: 'classification', classes: 4 } as const;
const AS_IS: Normalisation = { scale: [1], shift: [0] };

interface Case {
  readonly form: SampleForm;
  /** Shape of a sample as the network takes it, where that is not that of the data. */
  readonly taken?: readonly number[];
  readonly input: string;
  readonly operators: string;
}

const CASES: Readonly<Record<string, Case>> = {
  'grey bytes, each with one scale': {
    form: {
      ...{ features: [1, 4, 3], storedAs: 'uint8', target },
      ...{ fileForm: { layout: 'grey' }, normalisation: normalisationOfBytes(0.13, 0.31) },
    },
    input: 'uint8 [batch,4,3]',
    operators: 'Cast Mul Add Reshape',
  },
  'colour bytes with channels last and a scale each': {
    form: {
      ...{ features: [3, 4, 2], storedAs: 'uint8', target, fileForm: { layout: 'channels-last' } },
      normalisation: normalisationOfBytes([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]),
    },
    input: 'uint8 [batch,4,2,3]',
    operators: 'Cast Transpose Mul Add',
  },
  'colour bytes in planes, for a network that takes them in one row': {
    form: {
      ...{ features: [3, 4, 2], storedAs: 'uint8', target },
      normalisation: normalisationOfBytes([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]),
    },
    taken: [24],
    input: 'uint8 [batch,3,4,2]',
    operators: 'Cast Mul Add Reshape',
  },
  'columns of a table, each with its scale': {
    form: {
      ...{ features: [3], storedAs: 'float32', target },
      normalisation: { scale: [0.1, 3, 7].map(Math.fround), shift: [1, -0.3, 2].map(Math.fround) },
    },
    input: 'float32 [batch,3]',
    operators: 'Mul Add',
  },
  'bytes as they are stored': {
    form: { features: [5], storedAs: 'uint8', target, normalisation: AS_IS },
    input: 'uint8 [batch,5]',
    operators: 'Cast',
  },
  'numbers as they are stored': {
    form: { features: [5], storedAs: 'float32', target, normalisation: AS_IS },
    input: 'float32 [batch,5]',
    operators: '',
  },
};

/** The file of an untrained perceptron for samples of a shape. */
function networkFor(features: readonly number[]): GraphFile {
  const model = makeModel('mlp', { features, target }, { hidden: [6] });
  const values = model.parameters.map(
    (spec, i) => [spec.name, initialParameter(spec, 3, i)] as const,
  );
  const { name, inputs, outputs, initializers, nodes } = makeInferenceFile(model, new Map(values));
  return { name, inputs, outputs, initializers, nodes };
}

async function scoresOf(
  file: GraphFile,
  data: Uint8Array | Float32Array,
  shape: readonly number[],
): Promise<number[]> {
  const session = await InferenceSession.create(encodeGraph(file), { logSeverityLevel: 3 });
  const type = data instanceof Uint8Array ? 'uint8' : 'float32';
  const { logits } = await session.run({ input: new Tensor(type, data, shape) });
  await session.release();
  return Array.from(logits!.data as Float32Array);
}

const COUNT = 3;

/** Samples as a data set stores them, and as training computes them. */
function samplesOf({ features, storedAs, normalisation: { scale, shift } }: SampleForm): {
  readonly stored: Uint8Array | Float32Array;
  readonly normalised: Float32Array;
} {
  const size = features.reduce((a, b) => a * b, 1);
  const bytes = Uint8Array.from({ length: COUNT * size }, (_, i) => (i * 37 + 11) % 256);
  const stored = storedAs === 'uint8' ? bytes : Float32Array.from(bytes, (byte) => byte / 7 - 9);
  const perChannel = size / scale.length;
  const normalised = Float32Array.from(stored, (value, i) => {
    const channel = Math.floor((i % size) / perChannel);
    return Math.fround(Math.fround(value) * scale[channel]!) + shift[channel]!;
  });
  return { stored, normalised };
}

describe('withPreamble', () => {
  for (const [what, { form, taken = form.features, input, operators }] of Object.entries(CASES))
    test(`gives the same bits for what the files hold: ${what}`, async () => {
      const network = networkFor(taken);
      const { stored, normalised } = samplesOf(form);

      const file = withPreamble(network, form);

      const [{ type, shape }] = file.inputs as [GraphFile['inputs'][number]];
      assert.equal(`${type} [${shape.join()}]`, input);
      assert.equal(
        file.nodes
          .slice(0, file.nodes.length - network.nodes.length)
          .map(({ operator }) => operator)
          .join(' '),
        operators,
      );
      assert.deepEqual(
        await scoresOf(file, asInFile(stored, form) as Uint8Array, [
          COUNT,
          ...shape.slice(1).map(Number),
        ]),
        await scoresOf(network, normalised, [COUNT, ...taken]),
      );
    });

  test('leaves tokens alone', () => {
    const network = networkFor([4]);
    const form: SampleForm = {
      ...{ features: [4], storedAs: 'int32', target, normalisation: AS_IS, vocabulary: 9 },
    };

    assert.equal(withPreamble(network, form), network);
  });

  test("makes files that ONNX's own checker accepts", { skip: onnxCheckerMissing() }, () => {
    const files = Object.values(CASES).map(({ form, taken = form.features }) =>
      encodeGraph(withPreamble(networkFor(taken), form)),
    );

    assert.equal(checkWithOnnx(files), '');
  });
});

describe('withoutPreamble', () => {
  for (const [what, { form, taken = form.features }] of Object.entries(CASES))
    test(`gives the network back as it was: ${what}`, () => {
      const network = networkFor(taken);
      const written = decodeGraphFile(encodeGraph(withPreamble(network, form)));

      const { file, preamble } = withoutPreamble(written);

      assert.deepEqual(file, { ...network, literals: new Set() });
      if (written.nodes.length > network.nodes.length)
        assert.deepEqual(preamble, { input: written.inputs[0], normalisation: form.normalisation });
      else assert.equal(preamble, undefined);
    });

  test('leaves open what a network leaves open', () => {
    const network = networkFor([3]);
    const open = { ...network, inputs: [{ ...network.inputs[0]!, shape: ['batch', 'width'] }] };
    const { form } = CASES['columns of a table, each with its scale']!;

    const { nodes } = withPreamble(open, form);

    assert.ok(!nodes.some(({ operator }) => operator === 'Reshape'));
  });

  test('refuses a file whose preamble was changed: its features would be scaled twice', () => {
    const { form } = CASES['columns of a table, each with its scale']!;
    const file = withPreamble(networkFor([3]), form);
    const [mul, add, ...nodes] = file.nodes as [
      GraphFile['nodes'][number],
      GraphFile['nodes'][number],
    ];
    const changes: Readonly<Record<string, GraphFile>> = {
      'nodes renamed': { ...file, nodes: [{ ...mul, name: 'a' }, { ...add, name: 'b' }, ...nodes] },
      'its last node elsewhere': { ...file, nodes: [mul, { ...add, name: 'b' }, ...nodes] },
      'its first node elsewhere': { ...file, nodes: [{ ...mul, name: 'a' }, add, ...nodes] },
    };
    for (const [what, changed] of Object.entries(changes))
      assert.throws(
        () => withoutPreamble(changed),
        { code: 'GRAPH_UNSUPPORTED', message: /^model mlp: .* are not as Lockstep wrote them/ },
        what,
      );
  });

  test('finds a preamble whose file has lost its metadata', () => {
    const { form } = CASES['columns of a table, each with its scale']!;
    const network = networkFor([3]);
    const { metadata: _, ...file } = withPreamble(network, form);

    assert.deepEqual(withoutPreamble(file).file, network);
  });
});
