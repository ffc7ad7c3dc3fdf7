"""Says the class of every row of a table: python3 examples/predict.py <run folder> <table.csv>"""

import csv, json, sys
import numpy, onnxruntime

folder, table = sys.argv[1:]
session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
metadata = session.get_modelmeta().custom_metadata_map
columns = json.loads(metadata["input"])["columnNames"]
class_names = json.loads(metadata["classNames"])
with open(table, newline="") as file:
    rows = csv.DictReader(file)
    numbered = [(rows.line_num, [float(row[name]) for name in columns]) for row in rows]

cells = numpy.array([row for _, row in numbered], dtype=numpy.float32)
(scores,) = session.run(["logits"], {"input": cells})
for (line, _), best in zip(numbered, scores.argmax(axis=1)):
    print(f"{table}:{line}: {class_names[best]}")
