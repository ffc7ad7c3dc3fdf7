/**
 * ONNX files that have ONNX Runtime read another file, `secret.bin` in the folder that the process
 * works in: what a coordinator could send in place of a compiled step.
 */
import { ProtoWriter } from '../src/graph/file/proto-writer.ts';

type Write = (out: ProtoWriter) => void;

/** The file that they ask for, relative to the working folder. */
export const SECRET_FILE = 'secret.bin';
/** Float32 numbers in it; the files put them out as `y`. */
export const SECRET_COUNT = 4;

const FLOAT = 1;
const INT64 = 7;
const BOOL = 9;
/** Numbers of AttributeProto.AttributeType. */
const TENSOR = 4;
const GRAPH = 5;
const SPARSE_TENSOR = 11;

/** A tensor whose elements are in the secret file. */
function external(name: string): Write {
  return (tensor) => {
    tensor.int(1, SECRET_COUNT);
    tensor.int(2, FLOAT);
    tensor.string(8, name);
    for (const [key, value] of [
      ['location', SECRET_FILE],
      ['offset', '0'],
      ['length', String(4 * SECRET_COUNT)],
    ] as const)
      tensor.message(13, (entry) => {
        entry.string(1, key);
        entry.string(2, value);
      });
    tensor.int(14, 1);
  };
}

/** A sparse tensor, all of whose elements are. */
function sparse(name: string): Write {
  const indices = BigInt64Array.from({ length: SECRET_COUNT }, (_, i) => BigInt(i));
  return (out) => {
    out.message(1, external(name));
    out.message(2, (tensor) => {
      tensor.int(1, SECRET_COUNT);
      tensor.int(2, INT64);
      tensor.bytes(9, new Uint8Array(indices.buffer));
    });
    out.int(3, SECRET_COUNT);
  };
}

function node(
  graph: ProtoWriter,
  operator: string,
  inputs: readonly string[],
  made: string,
  attributes: Write = () => {},
): void {
  graph.message(1, (out) => {
    for (const input of inputs) out.string(1, input);
    out.string(2, made);
    out.string(3, operator);
    out.string(4, operator);
    attributes(out);
  });
}

function attribute(
  out: ProtoWriter,
  name: string,
  field: number,
  type: number,
  value: Write,
): void {
  out.message(5, (inner) => {
    inner.string(1, name);
    inner.message(field, value);
    inner.int(20, type);
  });
}

function output(graph: ProtoWriter, name: string): void {
  graph.message(12, (value) => {
    value.string(1, name);
    value.message(2, (type) =>
      type.message(1, (tensor) => {
        tensor.int(1, FLOAT);
        tensor.message(2, (shape) => shape.message(1, (size) => size.int(1, SECRET_COUNT)));
      }),
    );
  });
}

function modelOf(write: Write): Uint8Array {
  const model = new ProtoWriter();
  model.int(1, 8);
  model.message(7, (graph) => {
    write(graph);
    graph.string(2, 'step');
    output(graph, 'y');
  });
  model.message(8, (opset) => {
    opset.string(1, '');
    opset.int(2, 17);
  });
  return model.finish();
}

/** A branch that gives the secret. */
function branch(name: string): Write {
  return (graph) => {
    node(graph, 'Relu', [`${name}.w`], `${name}.y`);
    graph.string(2, name);
    graph.message(15, sparse(`${name}.w`));
    output(graph, `${name}.y`);
  };
}

/** By the place in which the other file is named. */
export const STEPS_THAT_READ_FILES: Readonly<Record<string, Uint8Array>> = {
  'an initializer': modelOf((graph) => {
    node(graph, 'Relu', ['w'], 'y');
    graph.message(5, external('w'));
  }),
  'a sparse initializer': modelOf((graph) => {
    node(graph, 'Relu', ['w'], 'y');
    graph.message(15, sparse('w'));
  }),
  'the value of a Constant': modelOf((graph) => {
    node(graph, 'Constant', [], 'w', (out) => attribute(out, 'value', 5, TENSOR, external('w')));
    node(graph, 'Relu', ['w'], 'y');
  }),
  'the sparse value of a Constant': modelOf((graph) => {
    const value: Write = (out) => attribute(out, 'sparse_value', 22, SPARSE_TENSOR, sparse('w'));
    node(graph, 'Constant', [], 'w', value);
    node(graph, 'Relu', ['w'], 'y');
  }),
  'a branch of an If': modelOf((graph) => {
    graph.message(5, (tensor) => {
      tensor.int(2, BOOL);
      tensor.string(8, 'condition');
      tensor.bytes(9, Uint8Array.of(1));
    });
    node(graph, 'If', ['condition'], 'y', (out) => {
      for (const name of ['then_branch', 'else_branch'])
        attribute(out, name, 6, GRAPH, branch(name));
    });
  }),
};

/** Those of them that ONNX Runtime obeys when it gets them as bytes. */
export const OBEYED: readonly string[] = [
  'a sparse initializer',
  'the sparse value of a Constant',
  'a branch of an If',
];
