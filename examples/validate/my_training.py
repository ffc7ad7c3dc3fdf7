"""my_training.py <workers> <result.json> [learning rate]"""

import json, random, struct, sys, time
from datetime import datetime, timezone


class ResultFile:
    """Collects steps, and writes what `lockstep validate` reads."""

    def __init__(self, workers, config):
        self.workers, self.config, self.steps = workers, config, []
        self.start, self.clock = datetime.now(timezone.utc), time.perf_counter()

    def add(self, loss, seconds, allreduce_ms, workers):
        samples = sum(worker["samples"] for worker in workers)
        compute_ms = sum(worker["compute_time_ms"] for worker in workers) / len(workers)
        self.steps.append({
            "step": len(self.steps),
            "loss": loss,
            "loss_bits": struct.pack(">d", loss).hex(),
            "throughput_samples_per_sec": samples / seconds,
            "allreduce_time_ms": allreduce_ms,
            "compute_time_ms": compute_ms,
            "workers": workers,
        })

    def write(self, path):
        total = lambda key: sum(step[key] for step in self.steps)
        count = len(self.steps)
        with open(path, "w") as file:
            json.dump({
                "config": self.config,
                "num_workers": self.workers,
                "num_steps": count,
                "steps": self.steps,
                "total_time_sec": time.perf_counter() - self.clock,
                "total_allreduce_time_ms": total("allreduce_time_ms"),
                "total_compute_time_ms": total("compute_time_ms"),
                "average_loss": total("loss") / count,
                "final_loss": self.steps[-1]["loss"],
                "average_throughput_samples_per_sec": total("throughput_samples_per_sec") / count,
                "start_timestamp": self.start.isoformat(),
                "end_timestamp": datetime.now(timezone.utc).isoformat(),
            }, file, indent=2)


def train(workers, rate, steps=60, batch=32, seed=42):
    """Linear regression by stochastic gradient descent.

    Each worker has every n-th sample of a step.
    """
    draw = random.Random(seed)
    truth, weights = [draw.gauss(0, 1) for _ in range(10)], [0.0] * 10
    result = ResultFile(workers, {"learning_rate": rate, "batch_size": batch, "seed": seed})
    for _ in range(steps):
        began = time.perf_counter()
        inputs = [[draw.gauss(0, 1) for _ in truth] for _ in range(batch)]
        parts, told = [], []
        for worker in range(workers):
            computing = time.perf_counter()
            mine = inputs[worker::workers]
            errors = [sum(x * (w - t) for x, w, t in zip(row, weights, truth)) for row in mine]
            gradient = [sum(e * row[i] for e, row in zip(errors, mine)) for i in range(10)]
            parts.append((sum(e * e for e in errors), gradient))
            told.append({
                "worker_id": worker,
                "samples": len(mine),
                "compute_time_ms": 1e3 * (time.perf_counter() - computing),
                "allreduce_time_ms": 0.0,
            })
        adding = time.perf_counter()
        # Sums over samples, then one division.
        loss = sum(loss_sum for loss_sum, _ in parts) / batch
        mean = [sum(column) / batch for column in zip(*(gradient for _, gradient in parts))]
        allreduce_ms = 1e3 * (time.perf_counter() - adding)
        weights = [w - rate * g for w, g in zip(weights, mean)]
        result.add(loss, time.perf_counter() - began, allreduce_ms, told)
    return result


if __name__ == "__main__":
    workers, path = int(sys.argv[1]), sys.argv[2]
    train(workers, float(sys.argv[3]) if len(sys.argv) > 3 else 0.1).write(path)
