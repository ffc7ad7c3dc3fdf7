"""Two processes, one thread each: the step of mlp_step.py under DistributedDataParallel on gloo.

Arguments: batch per process, steps, flush, folder, port on loopback. Rank 0 prints JSON:
milliseconds per step and samples per second of both together.
"""
import json
import os
import sys
import time

import numpy
import torch
import torch.distributed
import torch.multiprocessing


def run(rank, batch, steps, flush, folder, port):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    if flush:
        torch.set_flush_denormal(True)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
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
    model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    order = torch.randperm(60000)
    warmup = max(20, steps // 3)
    position = rank * batch
    started = 0.0
    for step in range(warmup + steps):
        if step == warmup:
            torch.distributed.barrier()
            started = time.perf_counter()
        if position + batch > 60000:
            position = rank * batch
        index = order[position : position + batch]
        position += 2 * batch
        loss = torch.nn.functional.cross_entropy(model(x[index]), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.distributed.barrier()
    seconds = time.perf_counter() - started
    if rank == 0:
        rate = 2 * batch * steps / seconds
        print(json.dumps({"stepMs": seconds / steps * 1000, "samplesPerSecond": rate}))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    batch, steps, flush = (int(text) for text in sys.argv[1:4])
    folder, port = sys.argv[4], int(sys.argv[5])
    torch.multiprocessing.spawn(run, args=(batch, steps, flush, folder, port), nprocs=2)
