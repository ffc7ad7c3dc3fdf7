"""train_ddp.py <workers> <result.json>

Trains with PyTorch's DistributedDataParallel, and writes a file that Lockstep validates.
"""

import os
import sys
import tempfile
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from my_training import ResultFile

STEPS, BATCH, SEED, RATE = 60, 32, 42, 0.05


def train(rank, world, meeting, path):
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=world)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    truth = torch.randn(10, 1)
    result = ResultFile(world, {"learning_rate": RATE, "batch_size": BATCH, "seed": SEED})
    for _ in range(STEPS):
        began = time.perf_counter()
        mine = torch.randn(BATCH, 10)[rank::world]  # all ranks draw the same, each takes its part
        loss_sum = (model(mine) - mine @ truth).square().sum()
        optimizer.zero_grad()
        # DDP divides by ranks, not by samples: weighted so, unequal parts are added up right.
        (loss_sum * world / BATCH).backward()
        computed = time.perf_counter()
        # A row for each rank: after the sum everybody has all rows.
        rows = torch.zeros(world, 3, dtype=torch.float64)
        rows[rank] = torch.tensor([loss_sum.item(), len(mine), 1e3 * (computed - began)])
        dist.all_reduce(rows)
        allreduce_ms = 1e3 * (time.perf_counter() - computed)
        optimizer.step()
        result.add(rows[:, 0].sum().item() / BATCH, time.perf_counter() - began, allreduce_ms, [
            {"worker_id": worker, "samples": int(samples), "compute_time_ms": compute_ms,
             "allreduce_time_ms": allreduce_ms}
            for worker, (_, samples, compute_ms) in enumerate(rows.tolist())
        ])
    if rank == 0:
        result.write(path)
    dist.barrier()
    os._exit(0)  # threads of gloo keep some processes from ending


if __name__ == "__main__":
    workers, path = int(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(train, (workers, f"{folder}/ranks", path), workers)
