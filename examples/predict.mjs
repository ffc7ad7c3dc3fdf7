// Says the class of every row of a table: node examples/predict.mjs <run folder> <table.csv>
import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const [folder, table] = process.argv.slice(2);
const { input, classNames } = JSON.parse(readFileSync(`${folder}/summary.json`, 'utf8'));
const [header, ...lines] = readFileSync(table, 'utf8').trim().split(/\r?\n/);
const places = input.columnNames.map((name) => header.split(',').indexOf(name));
const rows = lines.map((line) => line.split(',')); // cells in quotes are not foreseen
const cells = Float32Array.from(
  rows.flatMap((row) => places.map((place) => Number.parseFloat(row[place]))),
);
if (!cells.every(Number.isFinite)) throw new Error(`expected numbers in ${input.columnNames}`);

const session = await InferenceSession.create(`${folder}/model.onnx`);
const { logits } = await session.run({
  input: new Tensor('float32', cells, [rows.length, places.length]),
});
const width = classNames.length;
for (const index of rows.keys()) {
  const scores = logits.data.subarray(index * width, (index + 1) * width);
  console.log(`${table}:${index + 2}: ${classNames[scores.indexOf(Math.max(...scores))]}`);
}
