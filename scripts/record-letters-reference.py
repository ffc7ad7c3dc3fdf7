"""Records what numpy computes with the rules of the seed letters system, into test/fixtures/letters-reference.json.

Run: /usr/bin/python3 scripts/record-letters-reference.py <directory written by `lockstep data letters`>
"""

import glob
import json
import os
import re
import sys

import numpy as np

ETA = 0.0001
STOP_BELOW = 0.2


def load(path):
    table = np.loadtxt(path, delimiter=",", dtype=int)
    x = np.hstack([np.ones((len(table), 1)), table[:, :-1]])
    return x, np.eye(26)[table[:, -1]]


def start(hidden, features=16, classes=26):
    np.random.seed(1)
    v = np.random.uniform(-0.01, 0.01, (hidden + 1, classes))
    w = np.random.uniform(-0.01, 0.01, (features + 1, hidden))
    return v, w


def forward(x, v, w):
    before = x @ w
    z = np.hstack([np.ones((len(x), 1)), before])
    logits = z @ v
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return before, z, e / e.sum(axis=1, keepdims=True)


def train(x, labels, v, w, epochs):
    entropies = []
    for _ in range(epochs):
        before, z, y = forward(x, v, w)
        entropies.append(-(labels * np.log(y + 1e-6)).sum())
        if len(entropies) > 1 and abs(entropies[-2] - entropies[-1]) <= STOP_BELOW:
            break
        residual = labels - y
        dv = ETA * z.T @ residual
        dw = ETA * x.T @ ((residual @ v.T)[:, 1:] * (before >= 0))
        v, w = v + dv, w + dw
    return v, w, entropies


def error(x, labels, v, w):
    return float((forward(x, v, w)[2].argmax(axis=1) != labels.argmax(axis=1)).mean())


def run(files, validation, rounds, epochs, hidden):
    v, w = start(hidden)
    errors = []
    for _ in range(rounds):
        ends = [train(x, labels, v, w, epochs) for x, labels in files]
        v = v + sum(end[0] - v for end in ends) / len(ends)
        w = w + sum(end[1] - w for end in ends) / len(ends)
        errors.append(error(*validation, v, w))
    return errors


directory = sys.argv[1]
names = glob.glob(os.path.join(directory, "train_letters*.txt"))
files = [load(name) for name in sorted(names, key=lambda name: int(re.findall(r"\d+", name)[-1]))]
validation = load(os.path.join(directory, "validate_letters.txt"))

v, w = start(20)
end_v, end_w, entropies = train(*files[0], v, w, 15)
np.random.seed(1)
reference = {
    "uniform": [np.random.random_sample() for _ in range(700)][::100],
    "file": {
        "hidden": 20,
        "epochs": 15,
        "crossEntropy": entropies[-1],
        "trainingError": error(*files[0], end_v, end_w),
        "deltaV": (end_v - v)[::5, ::5].ravel().tolist(),
        "deltaW": (end_w - w)[::4, ::4].ravel().tolist(),
    },
    "runs": [
        {"rounds": rounds, "epochs": epochs, "hidden": hidden, "errors": run(files, validation, rounds, epochs, hidden)}
        for rounds, epochs, hidden in [(5, 15, 20), (3, 75, 24), (25, 15, 20)]
    ],
}
with open("test/fixtures/letters-reference.json", "w") as out:
    json.dump(reference, out, indent=1)
    out.write("\n")
