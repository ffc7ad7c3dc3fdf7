"""One process, one thread: eager training steps of 784-256-512-10 with Adam, as people write them.

Arguments: batch, steps, flush (0 or 1: torch.set_flush_denormal), and a folder with the IDX files
of MNIST. Prints JSON: milliseconds per step (median and mean) and samples per second.
"""
import json
import statistics
import sys
import time

import numpy
import torch

batch, steps, flush, folder = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(1)
if flush:
    torch.set_flush_denormal(True)
torch.manual_seed(7)
images = numpy.fromfile(f"{folder}/train-images-idx3-ubyte", dtype=numpy.uint8)[16:]
labels = numpy.fromfile(f"{folder}/train-labels-idx1-ubyte", dtype=numpy.uint8)[8:]
x = (torch.from_numpy(images.reshape(-1, 784)).float() / 255 - 0.1307) / 0.3081
y = torch.from_numpy(labels).long()
model = torch.nn.Sequential(
    torch.nn.Linear(784, 256),
    torch.nn.ReLU(),
    torch.nn.Linear(256, 512),
    torch.nn.ReLU(),
    torch.nn.Linear(512, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
order = torch.randperm(60000)
times = []
position = 0
warmup = max(20, steps // 3)
for step in range(warmup + steps):
    started = time.perf_counter()
    if position + batch > 60000:
        position = 0
    index = order[position : position + batch]
    position += batch
    loss = torch.nn.functional.cross_entropy(model(x[index]), y[index])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step >= warmup:
        times.append((time.perf_counter() - started) * 1000)
median, mean = statistics.median(times), statistics.mean(times)
print(json.dumps({"stepMs": median, "meanMs": mean, "samplesPerSecond": batch / mean * 1000}))
