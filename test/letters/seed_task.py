"""Asks a compute node as the coordinator of the seed system does: seed_task.py <host> <port> <file> <epochs> <h> <policy>

Prints what the node answers, and how far its weights are from those that numpy computes.
"""

import json
import sys

import numpy as np
from seed_numpy import start, train
from seed_types import TType, call, read_fields, read_weights, write_field, write_weights

host, port, path, epochs, h, policy = sys.argv[1:]
v, w = start(int(h))


def write_arguments(out):
    write_field(out, TType.STRING, 1, path)
    out.writeFieldBegin("initial_weights", TType.STRUCT, 2)
    write_weights(out, (v.tolist(), w.tolist()))
    out.writeFieldEnd()
    write_field(out, TType.DOUBLE, 3, 0.0)
    write_field(out, TType.I32, 4, 26)
    write_field(out, TType.I32, 5, int(h))
    write_field(out, TType.DOUBLE, 6, 0.0001)
    write_field(out, TType.I32, 7, int(epochs))
    write_field(out, TType.I32, 8, int(policy))


def read_result(source):
    return read_fields(source, {1: lambda s: s.readBool(), 2: lambda s: s.readDouble(), 3: read_weights})


answer = call(host, int(port), "train_with_weights", write_arguments, read_result)
accepted, training_error, (dv, dw) = answer[1], answer[2], answer[3]
distance = None
if accepted:
    end_v, end_w, _ = train(path, v, w, int(epochs), 0.0001)
    distance = float(max(np.abs(np.array(dv) - (end_v - v)).max(), np.abs(np.array(dw) - (end_w - w)).max()))
print(json.dumps({"accepted": accepted, "trainingError": training_error, "rows": [len(dv), len(dw)], "distance": distance}))
