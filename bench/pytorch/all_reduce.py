"""One rank of PyTorch's all_reduce of int32 sums on gloo, one thread, timed as bench-collective does.

Arguments: bytes, iterations. RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are in the environment.
Rank 0 prints JSON: the median over iterations of the slowest rank's milliseconds, `p50_time_ms`.
"""
import json
import statistics
import sys
import time

import torch
import torch.distributed

WARM_UP = 3


def main():
    size, iterations = (int(text) for text in sys.argv[1:3])
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method="env://")
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    own = torch.arange(size // 4, dtype=torch.int32) + rank
    expected = torch.arange(size // 4, dtype=torch.int32) * ranks + ranks * (ranks - 1) // 2
    sums = torch.empty_like(own)
    times = []
    for iteration in range(WARM_UP + iterations):
        sums.copy_(own)
        torch.distributed.barrier()
        started = time.perf_counter()
        torch.distributed.all_reduce(sums)
        slowest = torch.tensor([time.perf_counter() - started], dtype=torch.float64)
        if not torch.equal(sums, expected):
            sys.exit("all_reduce: a sum is wrong")
        torch.distributed.all_reduce(slowest, op=torch.distributed.ReduceOp.MAX)
        if iteration >= WARM_UP:
            times.append(1000 * slowest.item())
    if rank == 0:
        print(json.dumps({"p50_time_ms": statistics.median(times)}))
    torch.distributed.destroy_process_group()


main()
