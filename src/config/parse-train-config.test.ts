import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError } from '../base/errors.ts';
import { parseTrainConfig } from './parse-train-config.ts';
import type { FlagValues, ParsedTrainConfig } from './parse-train-config.ts';
import { MAX_CONFIG_BYTES } from './yaml-source.ts';

function parse(text: string, flags: FlagValues = {}): ParsedTrainConfig {
  return parseTrainConfig([{ file: 'config.yaml', text }], flags);
}

/** The lines of the error that parsing ends with: one for each problem, unless there are many. */
function refusal(text: string, flags: FlagValues = {}, problems = 0): string[] {
  try {
    parse(text, flags);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.equal(error.code, 'CONFIG_INVALID');
    const lines = error.message.split('\n');
    const named = problems > 10 ? 10 : lines.length;
    assert.equal((error.context['issues'] as unknown[]).length, named);
    return lines;
  }
  return assert.fail('was accepted');
}

describe('a setting whose values have other names, too', () => {
  test('has one name inside, whichever was written', () => {
    for (const strategy of ['allreduce', 'sync'])
      assert.equal(parse(`strategy: ${strategy}\n`).config.strategy, 'sync');
    assert.equal(parse('', { strategy: 'allreduce' }).config.strategy, 'sync');
  });
});

describe('the data set when none is named', () => {
  test('is one that the model can be trained on, which is told unless it is the usual one', () => {
    const chosenFor = (model: string): [dataset: string, notes: number] => {
      const { config, notes } = parseTrainConfig([], { model });
      return [config.dataset, notes.length];
    };

    assert.deepEqual(chosenFor('mlp'), ['mnist', 0]);
    assert.deepEqual(chosenFor('gpt'), ['moby_dick', 1]);
    assert.deepEqual(chosenFor('bert'), ['synthetic_text', 2], 'with a note on its batches');
    const named = parseTrainConfig([], { model: 'gpt', dataset: 'book.txt' });
    assert.deepEqual([named.config.dataset, named.notes], ['book.txt', []]);
  });
});

describe('batches when none are named', () => {
  const batchesOf = (flags: object): readonly number[] => {
    const { config, notes } = parseTrainConfig([], { model: 'bert', dataset: 'digits', ...flags });
    return [config.microBatch, config.globalBatch, notes.length];
  };

  test('fit a large model, which is told; what is named stays', () => {
    assert.deepEqual(batchesOf({}), [2, 32, 1]);
    assert.deepEqual(batchesOf({ globalBatch: '64' }), [2, 64, 1]);
    assert.deepEqual(batchesOf({ globalBatch: '63' }), [1, 63, 1]);
    assert.deepEqual(batchesOf({ microBatch: '48' }), [48, 192, 0]);
    assert.deepEqual(batchesOf({ layers: '2', width: '32' }), [32, 192, 0]);
  });
});

describe('parseTrainConfig', () => {
  test('gives the defaults when nothing is given', () => {
    const { config, notes } = parseTrainConfig([]);

    assert.deepEqual(notes, []);
    assert.deepEqual(config, {
      model: 'mlp',
      freeze: [],
      loss: 'auto',
      labelSmoothing: 0,
      hidden: [256, 512],
      activation: 'relu',
      layers: undefined,
      width: undefined,
      heads: undefined,
      feedForward: undefined,
      dropout: undefined,
      tokenTable: undefined,
      positionTable: undefined,
      tiedHead: undefined,
      stem: undefined,
      dataset: 'mnist',
      dataDir: undefined,
      validationSplit: 0,
      samples: 8192,
      classes: undefined,
      imageSize: undefined,
      channels: 3,
      sequenceLength: 128,
      vocabulary: undefined,
      textTokens: 'char',
      labelColumn: undefined,
      onBadRow: 'stop',
      normalise: 'auto',
      augment: 'none',
      workers: 2,
      lanes: 'auto',
      throttle: [1],
      microBatch: 32,
      globalBatch: 192,
      epochs: 5,
      steps: undefined,
      rounds: undefined,
      localEpochs: 1,
      shards: 4,
      replicas: 2,
      syncEvery: 100,
      optimizer: 'adam',
      lr: 0.001,
      momentum: 0.9,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0,
      clipNorm: undefined,
      schedule: 'constant',
      warmupSteps: 0,
      minLr: 0,
      stepSize: 1000,
      gamma: 0.1,
      seed: 42,
      evalEvery: 'epoch',
      evalSamples: undefined,
      trackGradients: false,
      audit: 0,
      stopOnDivergence: false,
      checkpointEvery: '60s',
      keep: 3,
      name: undefined,
      outDir: 'experiments',
      strategy: 'sync',
      outerLr: 0.7,
      outerMomentum: 0.5,
      compress: 'none',
      topKPart: 0.1,
      collective: 'auto',
      mode: 'exact',
      gradientTimeout: 1,
      maxStaleness: 8,
      loadBalancePolicy: 'adaptive',
      rebalanceInterval: undefined,
      gpuProfiles: undefined,
      keepSlowLinks: false,
      convForms: 'default',
      device: ['cpu'],
      threads: 1,
      host: '127.0.0.1',
      port: 0,
      lan: false,
      approve: false,
      insecure: false,
      meshPlain: false,
      linkFile: undefined,
    });
  });

  test('takes flags before files and files before defaults', () => {
    const { config } = parse('lr: 0.1\nmicro_batch: 64\n', { lr: '0.2', seed: 7 });

    assert.deepEqual([config.lr, config.microBatch, config.seed, config.epochs], [0.2, 64, 7, 5]);
  });

  test('reads snake_case and kebab-case keys, and flags in camelCase and kebab-case', () => {
    assert.equal(parse('micro-batch: 16').config.microBatch, 16);
    assert.equal(parse('micro_batch: 16').config.microBatch, 16);
    assert.equal(parse('', { microBatch: '16' }).config.microBatch, 16);
    assert.equal(parse('', { 'micro-batch': 16 }).config.microBatch, 16);
  });

  test('reads every type from the text of a flag', () => {
    const flags = {
      hidden: '8, 4',
      lanes: 'auto',
      evalEvery: '100',
      trackGradients: 'true',
      validationSplit: 'true',
      lr: '1e-2',
      name: 'a.b-1',
    };
    const { config } = parse('', flags);

    assert.deepEqual(config.hidden, [8, 4]);
    assert.deepEqual([config.lanes, config.evalEvery, config.trackGradients], ['auto', 100, true]);
    assert.deepEqual([config.validationSplit, config.lr, config.name], [0.1, 0.01, 'a.b-1']);
    assert.equal(parse('', { validationSplit: '0.25' }).config.validationSplit, 0.25);
    assert.equal(parse('', { validationSplit: false }).config.validationSplit, 0);
    assert.deepEqual(parse('hidden: 128').config.hidden, [128]);
  });

  test('takes a later file before an earlier one, and says so where they differ', () => {
    const { config, notes } = parseTrainConfig([
      { file: 'a.yaml', text: 'lr: 0.1\nseed: 1\nworkers: 3\n' },
      { file: 'b.yaml', text: 'seed: 1\nlr: 0.2\n' },
    ]);

    assert.deepEqual([config.lr, config.seed, config.workers], [0.2, 1, 3]);
    assert.deepEqual(notes, [
      { file: 'b.yaml', line: 2, key: 'lr', message: '0.2 is used, not 0.1 of a.yaml:1:1 lr' },
    ]);
  });

  test('keeps two files of one name apart, and compares long values whole', () => {
    const long = 'x'.repeat(100);
    const { config, notes } = parseTrainConfig([
      { file: 'config.yaml', text: `data_dir: ${long}a\n` },
      { file: 'config.yaml', text: `data_dir: ${long}b\n` },
    ]);

    assert.equal(config.dataDir, `${long}b`);
    assert.equal(notes.length, 1);
  });

  test('names file, line, column, the key and the nearest known one for an unknown key', () => {
    assert.deepEqual(refusal('# comment\nseed: 1\nlearing_rate: 0.1\n'), [
      'config.yaml:3:1 unknown key "learing_rate"; did you mean "learning_rate"?',
    ]);
    assert.deepEqual(refusal('model: { typ: SimpleNN }'), [
      'config.yaml:1:10 unknown key "model.typ"; did you mean "type"?',
    ]);
    assert.match(refusal('microBatch: 1')[0]!, /did you mean "micro_batch"\?/);
    for (const key of ['__proto__', 'constructor', 'toString', '<<'])
      assert.match(refusal(`${key}: {lr: 1}`)[0]!, /^config\.yaml:1:1 unknown key/);
  });

  test('names an unknown option and the nearest known one', () => {
    assert.deepEqual(refusal('', { wrkers: '3' }), [
      '--wrkers: unknown option; did you mean "--workers"?',
    ]);
  });

  test('reports everything that is wrong at once, one line each', () => {
    const text =
      'lr: fast\nworkers: 0\noptimizer: adan\nhidden: [1, 2.5]\nbanana: ' +
      '1\nseed:\ntrack_gradients: yes\n';

    assert.deepEqual(refusal(text, { epochs: '1.5', port: '99999' }), [
      'config.yaml:5:1 unknown key "banana"; see `lockstep train --help` for all',
      'config.yaml:4:1 hidden: expected 0 to 64 whole numbers, each 1 to 65536, got [1,2.5]',
      'config.yaml:2:1 workers: expected a whole number 1 to 1024, got 0',
      '--epochs: expected a whole number 1 to 1000000, got 1.5',
      'config.yaml:3:1 optimizer: expected one of adam, adamw, sgd, momentum, got "adan"; did ' +
        'you mean "adam"?',
      'config.yaml:1:1 lr: expected a number above 0 to 1000, got "fast"',
      'config.yaml:6:1 seed: expected a whole number 0 to 4294967295, got nothing',
      'config.yaml:7:1 track_gradients: expected true or false, got "yes"',
      '--port: expected a whole number 0 to 65535, got 99999',
    ]);
  });

  test('refuses values that only look like numbers, and numbers that are none', () => {
    for (const value of ['.nan', '.inf', '"1"', '[1]', '{a: 1}', '0', '-1'])
      assert.match(refusal(`lr: ${value}`)[0]!, /lr: expected a number above 0/);
    for (const value of ['', '0x10', 'Infinity', 'NaN', '1,5', '1 2'])
      assert.match(refusal('', { lr: value })[0]!, /--lr: expected a number/);
  });

  test('refuses names that would leave the output folder', () => {
    for (const name of ['..', 'a/b', 'a\\b', '.hidden', 'x'.repeat(101), ''])
      assert.match(refusal('', { name })[0]!, /--name: expected a folder name/);
  });

  test('refuses a global batch that is no multiple of the micro-batch; names the nearest', () => {
    assert.deepEqual(refusal('micro_batch: 32\nglobal_batch: 100\n'), [
      'config.yaml:2:1 global_batch: expected global_batch to be a multiple of micro_batch, ' +
        'got global_batch 100 and micro_batch 32; nearest: global_batch 96 or 128, or ' +
        'micro_batch 25',
    ]);
    assert.deepEqual(refusal('', { 'micro-batch': '50' }), [
      '--micro-batch: expected global_batch to be a multiple of micro_batch, got global_batch ' +
        '192 (the default) and micro_batch 50; nearest: global_batch 150 or 200, or micro_batch ' +
        '48',
    ]);
    assert.match(
      refusal('', { globalBatch: '16' })[0]!,
      /nearest: global_batch 32, or micro_batch 16/,
    );
  });

  test('counts rounds by their own setting, and says when epochs are no whole rounds', () => {
    const rounds = (flags: Record<string, string>): Record<string, string> => ({
      strategy: 'rounds',
      ...flags,
    });
    const notesOn = (flags: Record<string, string>): string[] =>
      parse('', rounds(flags)).notes.map(({ message }) => message);

    assert.deepEqual(refusal('', rounds({ steps: '20' })), [
      '--steps: expected rounds or epochs with strategy rounds, got 20; use --rounds',
    ]);
    assert.deepEqual(refusal('', rounds({ epochs: '20000' })), [
      '--epochs: expected at most 10000 rounds, got 20000, for 20000 epochs in rounds of 1; ' +
        'raise --local-epochs',
    ]);
    assert.deepEqual(notesOn({ epochs: '20000', localEpochs: '2' }), []);
    assert.deepEqual(notesOn({ localEpochs: '2' }), [
      '5 epochs are no whole rounds of 2: 3 rounds, 6 epochs, will be trained',
    ]);
    assert.deepEqual(notesOn({ rounds: '3', epochs: '7' }), ['7 is not used: rounds 3 is given']);
    assert.deepEqual(notesOn({ shards: '1', workers: '3' }), [
      '1 shard for 3 workers: 2 will have nothing to do',
    ]);
    assert.deepEqual(notesOn({ strategy: 'local-sgd', workers: '3', rounds: '9', epochs: '7' }), [
      '7 is not used: rounds 9 is given',
      '2 replicas for 3 workers: 1 will have nothing to do',
    ]);
  });

  test('refuses replicas that do not share a global batch out in whole micro-batches', () => {
    const refused = (flags: Record<string, string>): string[] =>
      refusal('', { strategy: 'local-sgd', ...flags });

    assert.deepEqual(refused({ replicas: '4' }), [
      '--replicas: expected replicas to divide the 6 micro-batches of a global batch, got 4 ' +
        'replicas, global_batch 192 and micro_batch 32; nearest: 3 --replicas, or global_batch 256',
    ]);
    assert.deepEqual(refused({ globalBatch: '96' }), [
      '--global-batch: expected replicas to divide the 3 micro-batches of a global batch, got 2 ' +
        'replicas, global_batch 96 and micro_batch 32; nearest: 1 --replicas, or global_batch 128',
    ]);
    assert.deepEqual(refused({ steps: '20' }), [
      '--steps: expected rounds or epochs with strategy local-sgd, got 20; use --rounds',
    ]);
    assert.deepEqual(
      parse('', { strategy: 'local-sgd', replicas: '6', microBatch: '8' }).notes,
      [],
    );
  });

  test('tells of workers that a step has no micro-batch for', () => {
    const notesOn = (flags: Record<string, string>): string[] =>
      parse('', flags).notes.map(({ message }) => message);

    assert.deepEqual(notesOn({ workers: '4', globalBatch: '64' }), [
      '2 micro-batches in a step for 4 workers: 2 will have nothing to do; a larger --global-batch ' +
        'has more',
    ]);
    assert.deepEqual(notesOn({ workers: '2', globalBatch: '64' }), []);
    assert.deepEqual(parse('micro_batch: 192\n', { workers: '1' }).notes, []);
  });

  test('refuses changes of which only the largest travel where there are no rounds', () => {
    for (const strategy of ['allreduce', 'parameter-server', 'async'])
      assert.deepEqual(refusal('', { strategy, compress: 'top-k' }), [
        '--compress: expected strategy local-sgd or rounds with it, got topk with strategy ' +
          `${strategy === 'allreduce' ? 'sync' : strategy}; of a micro-batch of a step, whatever ` +
          'is left out would have to be kept by the worker that computed it, and the result would ' +
          'depend on who that was; use --strategy local-sgd',
      ]);
    assert.match(refusal('compress: topk\n', {}).join(), /use strategy: local-sgd$/);
    assert.deepEqual(parse('', { strategy: 'rounds', compress: 'topk' }).notes, []);
    for (const topKPart of ['0', '1.5', 'NaN'])
      assert.match(refusal('', { topKPart }).join(), /^--top-k-part: expected a number /);
    assert.match(parse('', { topKPart: '0.2' }).notes[0]!.message, /needs --compress topk$/);
  });

  test('refuses compressed sums that stay among the workers, in rounds of any kind', () => {
    for (const strategy of ['rounds', 'local-sgd'])
      assert.deepEqual(refusal('', { strategy, compress: 'int8', collective: 'ring' }), [
        '--compress: expected star, or auto, for --collective with it, got int8 with ring; what ' +
          'is compressed goes through the coordinator, which adds it up',
      ]);
    assert.deepEqual(
      parse('', { compress: 'int8' }).notes.map(({ message }) => message),
      ['"int8" has no effect with strategy sync; it needs --strategy rounds or local-sgd'],
    );
  });

  test('notes settings of rounds without rounds, and what rounds do not have', () => {
    const messages = (flags: Record<string, unknown>): string[] =>
      parse('', flags).notes.map(({ message }) => message);

    assert.deepEqual(messages({ shards: '2' }), [
      '2 has no effect with strategy sync; it needs --strategy rounds',
    ]);
    assert.deepEqual(messages({ strategy: 'rounds', trackGradients: true }), [
      'true has no effect with strategy rounds; it needs --strategy sync or parameter-server or ' +
        'async',
    ]);
  });

  test('refuses what this version does not have yet, naming what it has', () => {
    assert.deepEqual(refusal('', { collective: 'mpi' }), [
      '--collective: expected one of auto, shm, ring, star, got "mpi"; "mpi" is not available yet ' +
        'in this version; use auto or shm or ring or star',
    ]);
    assert.match(refusal('mode: local-sgd')[0]!, /"local-sgd" is --strategy local-sgd/);
    assert.match(refusal('mode: async')[0]!, /"async" is --strategy async/);
  });

  test('refuses audits of sums that stay among the workers, with the reason', () => {
    assert.match(
      refusal('audit: 0.1\ncollective: ring')[0]!,
      /collective: expected star, or auto, with audit, got ring; audited sums go through/,
    );
    parse('audit: 0.1\ncollective: auto');
  });

  test('refuses a deadline without the strategy that has one, and audits where timing decides', () => {
    assert.deepEqual(refusal('', { mode: 'deadline' }), [
      '--mode: expected exact, or strategy parameter-server, got deadline with strategy sync; only ' +
        'there does the coordinator add up every step, and can leave out what is late',
    ]);
    assert.match(
      refusal('strategy: async\naudit: 0.1\n')[0]!,
      /audit: expected no audits where the result depends on when gradients come, got 0\.1/,
    );
    assert.match(
      refusal('strategy: parameter-server\ncollective: shm\n')[0]!,
      /collective: expected star, or auto, with strategy parameter-server, got shm/,
    );
    assert.match(
      refusal('', { strategy: 'async', maxStaleness: '0' })[0]!,
      /--max-staleness: expected a whole number 1 to 64, got/,
    );
    assert.match(
      refusal('', { strategy: 'parameter-server', mode: 'deadline', gradientTimeout: '0' })[0]!,
      /--gradient-timeout: expected a number above 0 to 3600, got/,
    );
    parse('strategy: parameter-server\nmode: deadline\ngradient_timeout: 0.1\ncollective: star\n');
  });

  test('refuses several threads in exact mode, with the reason', () => {
    assert.match(
      refusal('threads: 4')[0]!,
      /threads: expected 1 in exact mode, got 4; .* other bits; use --lanes/,
    );
  });

  test('takes one device for all workers, or a list that they take in turn', () => {
    assert.deepEqual(parse('device: webgpu').config.device, ['webgpu']);
    assert.deepEqual(parse('', { device: 'webgpu, cpu' }).config.device, ['webgpu', 'cpu']);
    assert.deepEqual(
      parse('', { device: 'auto,cpu,cuda', workers: '2' }).notes.map(({ message }) => message),
      ['cuda is not used: there are 2 workers'],
    );
    assert.deepEqual(refusal('', { device: 'cpu,web-gpu' }), [
      '--device: expected one or more of auto, cpu, webgpu, cuda, coreml, dml, got ' +
        '["cpu","web-gpu"]; did you mean "webgpu"?',
    ]);
    assert.match(refusal('device: []')[0]!, /device: expected one or more of auto/);
  });

  test("fills in the settings of the model, and refuses another model's", () => {
    const { config, notes } = parse('model: bert\ndataset: synthetic_text\nwidth: 128\nhidden:\n');

    assert.deepEqual(notes, []);
    assert.deepEqual([config.width, config.layers, config.heads], [128, [12], undefined]);
    assert.deepEqual([config.hidden, config.activation, config.dropout], [undefined, 'gelu', 0.1]);
    assert.deepEqual(refusal('model: simple_cnn\n', { heads: '4' }), [
      '--heads: expected settings that simple_cnn has (--width, --dropout), got 4; simple_cnn ' +
        'has no --heads',
    ]);
    assert.deepEqual(refusal('feed_forward: 12\n'), [
      'config.yaml:1:1 feed_forward: expected settings that mlp has (hidden, activation), got ' +
        '12; mlp has no feed_forward',
    ]);
    assert.match(refusal('model: bort\nheads: 3\n').join('\n'), /^config\.yaml:1:1 model: [^\n]*$/);
  });

  test('refuses a cosine schedule that would rise', () => {
    assert.match(
      refusal('lr: 0.01', { schedule: 'cosine', 'min-lr': '0.1' })[0]!,
      /--min-lr: expected at most lr/,
    );
  });

  test('takes --lan before the loopback address of a file', () => {
    const file = 'host: 127.0.0.1\nlan: false\n';
    const open = parse(file, { lan: true });
    assert.deepEqual([open.config.lan, open.config.host], [true, '0.0.0.0']);
    assert.deepEqual(
      open.notes.map(({ message }) => message),
      ['127.0.0.1 is not used: --lan is given'],
    );
    assert.equal(parse('host: 192.168.1.7\n', { lan: true }).config.host, '192.168.1.7');
    assert.throws(() => parse('', { lan: true, host: '127.0.0.1' }), ConfigError);
  });

  test('takes steps instead of epochs, but the flag --epochs before steps of a file', () => {
    const both = parse('epochs: 3\nsteps: 100\n');
    assert.equal(both.config.steps, 100);
    assert.deepEqual(
      both.notes.map(({ message }) => message),
      ['3 is not used: steps 100 is given'],
    );

    const flag = parse('steps: 100\n', { epochs: '2' });
    assert.deepEqual([flag.config.epochs, flag.config.steps], [2, undefined]);
    assert.deepEqual(
      flag.notes.map(({ message }) => message),
      ['100 is not used: --epochs is given'],
    );
  });

  test('gives adamw the weight decay it is known for, unless one is given', () => {
    assert.equal(parse('optimizer: adamw').config.weightDecay, 0.01);
    assert.equal(parse('optimizer: adamw\nweight_decay: 0\n').config.weightDecay, 0);
  });

  test('takes a data set by name, spelt with - or _, or by a path', () => {
    for (const [written, dataset] of [
      ['synthetic_text', 'synthetic_text'],
      ['synthetic-text', 'synthetic_text'],
      ['data/My Table.csv', 'data/My Table.csv'],
      ['./folder', './folder'],
    ]) {
      assert.equal(parse('', { dataset: written }).config.dataset, dataset);
      assert.equal(parse(`dataset: ${written}\n`).config.dataset, dataset);
    }
    assert.match(
      refusal('', { dataset: 'mnits' })[0]!,
      /^--dataset: expected one of mnist, .*did you mean "mnist"\?$/,
    );
    assert.match(refusal('dataset: "a\\u0007/b"\n')[0]!, /dataset: expected one of/);
  });

  test('notes settings that do nothing with the kind of data', () => {
    const notesOf = (flags: Record<string, string>): string[] =>
      parse('', flags).notes.map(({ message }) => message);

    for (const dataset of ['a.csv', 'A.CSV', './folder', 'images/'])
      assert.deepEqual(notesOf({ dataset, onBadRow: 'skip' }), []);
    for (const dataset of ['mnist', 'a.txt'])
      assert.deepEqual(notesOf({ dataset, onBadRow: 'skip' }), [
        `"skip" has no effect with dataset ${dataset}; it needs --dataset *.csv or a folder`,
      ]);
    assert.deepEqual(
      notesOf({ dataset: 'synthetic_text', sequenceLength: '9', vocabulary: '50' }),
      [],
    );
  });

  test('notes settings that do nothing', () => {
    assert.deepEqual(parse('', { optimizer: 'sgd', momentum: '0.9' }).notes, [
      {
        file: 'command line',
        line: 0,
        key: '--momentum',
        message: '0.9 has no effect with optimizer sgd; it needs --optimizer momentum',
      },
    ]);
    assert.deepEqual(parse('momentum: 0.9\n').notes, []);
    assert.equal(parse('momentum: 0.8\n').notes.length, 1);
  });

  test('reads an empty file, and values left empty where there is no default', () => {
    for (const text of ['', '# nothing\n', '---\n', 'null\n', 'steps:\nname:\n'])
      assert.deepEqual(parse(text).config, parseTrainConfig([]).config);
  });

  test('refuses text that is no YAML, with its place', () => {
    assert.match(refusal('lr: 0.1\nhidden: [1, 2\nseed: 1\n')[0]!, /^config\.yaml:\d+:\d+ /);
    assert.match(refusal('lr: 0.1\n\tseed: 1\n')[0]!, /^config\.yaml:2:1 /);
    assert.match(refusal('a: 1\n---\nb: 2\n')[0]!, /multiple documents/);
    assert.match(refusal('lr: !!js/function "x"')[0]!, /^config\.yaml:1:5 .*tag/);
  });

  test('refuses duplicate keys, also in two spellings', () => {
    assert.match(refusal('seed: 1\nseed: 2\n')[0]!, /^config\.yaml:2:1 .*unique/);
    assert.match(
      refusal('micro_batch: 1\nmicro-batch: 2\n')[0]!,
      /expected one value for micro_batch, got 1 as micro_batch and 2 as micro-batch/,
    );
    assert.match(
      refusal('lr: 0.1\nlearning_rate: 0.2\n')[0]!,
      /^config\.yaml:2:1 learning_rate: expected one value/,
    );
  });

  test('refuses documents that are no mapping', () => {
    assert.deepEqual(refusal('- lr\n'), [
      'config.yaml:1:1 expected a mapping of settings (`key: value` lines), got a list',
    ]);
    assert.match(refusal('train')[0]!, /got a single value/);
    assert.match(refusal('1: 2')[0]!, /^config\.yaml:1:1 expected a word as key/);
    assert.match(refusal('? [a]\n: 1\n')[0]!, /expected a word as key/);
  });

  test('refuses huge files, endless nesting and alias bombs, quickly', () => {
    const started = performance.now();
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (let i = 0; i < 9; i++) {
      const name = String.fromCodePoint(98 + i);
      const before = String.fromCodePoint(97 + i);
      bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(', ')}]`);
    }

    assert.match(
      refusal(`# ${'x'.repeat(MAX_CONFIG_BYTES)}`)[0]!,
      /expected a configuration of at most 65536 bytes/,
    );
    const indented = Array.from({ length: 300 }, (_, depth) => `${' '.repeat(depth)}a:`);
    const [brackets, braces] = ['['.repeat(60_000), '{a: '.repeat(16_000)];
    for (const deep of [brackets, `lr: ${braces}`, '- '.repeat(30_000), indented.join('\n')])
      assert.match(refusal(deep)[0]!, /^config\.yaml:1:1 .* one thing in another far too often/);
    assert.ok(refusal(bomb.join('\n')).some((line) => /alias/.test(line)));
    assert.ok(performance.now() - started < 5000);
  });

  test('names ten of many wrong keys, counts the others, and looks for no names of those', () => {
    const keys = Array.from({ length: 60_000 }, (_, i) => `micro_${i}`);
    const inFile = keys.slice(0, 4_000).map((key) => `${key}: 1`);
    const started = process.cpuUsage();

    const ofFlags = refusal('', Object.fromEntries(keys.map((key) => [key, 1])), 60_000);
    const ofFile = refusal(inFile.join('\n'), {}, 4_000);
    const nested = refusal(`model:\n${inFile.map((line) => ` ${line}`).join('\n')}`, {}, 4_000);
    const duplicate = refusal('lr: 1\n'.repeat(4_001), {}, 4_000);
    const unread = refusal(keys.map((key) => `${key}: 1`).join('\n'));

    assert.deepEqual([ofFlags.length, ofFlags[10]], [11, '... and 59,990 more']);
    assert.match(ofFlags[9]!, /^--micro-9: unknown option/);
    assert.deepEqual([ofFile.length, ofFile[10]], [11, '... and 3,990 more']);
    assert.match(ofFile[9]!, /^config\.yaml:10:1 unknown key "micro_9"/);
    assert.deepEqual([nested.length, nested[10]], [11, '... and 3,990 more']);
    assert.deepEqual([duplicate.length, duplicate[10]], [11, '... and 3,990 more']);
    assert.match(unread[0]!, /expected a configuration of at most 65536 bytes, got \d+/);
    // Less than a second on an idle machine, for all five; quadratic, it was minutes.
    const { user, system } = process.cpuUsage(started);
    assert.ok(user + system < 3e6, `${(user + system) / 1e6} s`);
  });

  test('says that an alias stands in what it names, wherever that is', () => {
    const circle = (place: string, name: string): string =>
      `config.yaml:${place} the alias *${name} stands inside the value that &${name} names: a ` +
      'value cannot contain itself. Write out what is meant.';

    assert.deepEqual(refusal('lr: &a [*a]'), [circle('1:9', 'a')]);
    assert.deepEqual(refusal('&top {model: *top}'), [circle('1:14', 'top')]);
    assert.deepEqual(refusal('model: &m\n  type: mlp\n  hidden: [1, {x: *m}]'), [
      circle('3:19', 'm'),
    ]);
    // An anchor may be set anew: the second *a is the one of line 1.
    assert.deepEqual(parse('hidden: &a [8]\nlr: &b 0.5\nfreeze: []').config.hidden, [8]);
    assert.equal(parse('seed: &a 3\nsteps: *a').config.steps, 3);
    assert.equal(parse('seed: &a 3\nsteps: &a 4\nwarmup_steps: *a').config.warmupSteps, 4);
  });

  test('names values that aliases blow up, and what may stand there instead', () => {
    const doubling = Array.from({ length: 24 }, (_, i) => `k${i}: &k${i} [*k${i - 1}, *k${i - 1}]`);
    doubling[0] = 'k0: &k0 [x, x]';
    const started = performance.now();

    assert.match(
      refusal(doubling.join('\n'), {}, 24)[0]!,
      /^config\.yaml:\d+:\d+ k\d+: its aliases blow it up .* Write the values out/,
    );
    assert.match(
      refusal(`seed: &s 1\nhidden: [${'*s,'.repeat(5_000)}]`)[0]!,
      /^config\.yaml:2:\d+ expected at most 50 aliases \(\*name\), got more. Write the values out/,
    );
    assert.ok(performance.now() - started < 5_000);
  });

  test('refuses the same key twice inside a value', () => {
    assert.match(refusal('lr: [{a: 1, a: 2}]')[0]!, /^config\.yaml:1:13 .*unique/);
  });
});
