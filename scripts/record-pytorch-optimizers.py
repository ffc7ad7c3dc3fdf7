"""Records what PyTorch's optimizers and schedules do, as test/fixtures/pytorch-optimizers.json.

Run: /usr/bin/python3 scripts/record-pytorch-optimizers.py   (Debian: apt-get install python3-torch)

Gradients are int32 totals times a power of two, so that both sides start from the same float32 gradient.
"""

import json
import pathlib
import random

import torch
from torch.optim import lr_scheduler

ELEMENTS = 8
STEPS = 6
FACTOR = 2.0**-20

generator = random.Random(20)
WEIGHTS = [1.5, -0.25, 0.003, -2.0, 0.75, 1e-4, -0.5, 0.0]
# The last two elements: a unit that never sees a gradient, and one that sees a single one.
TOTALS = [
    [generator.randrange(-(2**21), 2**21) for _ in range(ELEMENTS - 3)] + [generator.randrange(-9, 9), 0, 5000 * (step == 1)]
    for step in range(STEPS)
]

CASES = [
    {"spec": {"kind": "sgd"}, "lr": 0.05},
    {"spec": {"kind": "sgd", "weightDecay": 0.1}, "lr": 0.05},
    {"spec": {"kind": "momentum"}, "lr": 0.02},
    {"spec": {"kind": "momentum", "weightDecay": 0.05}, "lr": 0.02},
    {"spec": {"kind": "momentum", "momentum": 0.8, "dampening": 0.3}, "lr": 0.02},
    {"spec": {"kind": "momentum", "nesterov": True, "weightDecay": 0.05}, "lr": 0.02},
    {"spec": {"kind": "adam"}, "lr": 0.001},
    {"spec": {"kind": "adam", "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4, "weightDecay": 0.05}, "lr": 0.01},
    {"spec": {"kind": "adamw"}, "lr": 0.001},
    {"spec": {"kind": "adamw", "beta1": 0.95, "weightDecay": 0.2}, "lr": 0.01},
]


def make_optimizer(spec, lr, parameter):
    kind = spec["kind"]
    if kind in ("sgd", "momentum"):
        return torch.optim.SGD(
            [parameter],
            lr=lr,
            momentum=spec.get("momentum", 0.9) if kind == "momentum" else 0,
            dampening=spec.get("dampening", 0),
            nesterov=spec.get("nesterov", False),
            weight_decay=spec.get("weightDecay", 0),
        )
    optimizer = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    return optimizer(
        [parameter],
        lr=lr,
        betas=(spec.get("beta1", 0.9), spec.get("beta2", 0.999)),
        eps=spec.get("epsilon", 1e-8),
        weight_decay=spec.get("weightDecay", 0.01 if kind == "adamw" else 0),
    )


def run(case):
    parameter = torch.nn.Parameter(torch.tensor(WEIGHTS, dtype=torch.float32))
    optimizer = make_optimizer(case["spec"], case["lr"], parameter)
    names = ("momentum_buffer", "exp_avg", "exp_avg_sq")
    steps = []
    for total in TOTALS:
        parameter.grad = torch.tensor(total, dtype=torch.float32) * FACTOR
        optimizer.step()
        state = optimizer.state[parameter]
        tensors = {"weights": parameter, **{name: state[name] for name in names if state.get(name) is not None}}
        steps.append({name: tensor.detach().tolist() for name, tensor in tensors.items()})
    return {**case, "steps": steps}


def schedule_values(kind, warmup, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    if kind == "cosine":
        main = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warmup, eta_min=0.01)
    else:
        main = lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.5)
    if warmup > 0:
        rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
        main = lr_scheduler.SequentialLR(optimizer, [rise, main], milestones=[warmup])
    values = []
    for _ in range(total):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        main.step()
    return values


fixture = {
    "torch": torch.__version__,
    "factor": FACTOR,
    "initialWeights": WEIGHTS,
    "totals": TOTALS,
    "optimizers": [run(case) for case in CASES],
    "schedules": [
        {"spec": {"kind": "cosine", "learningRate": 0.4, "minimum": 0.01, "warmupSteps": 0}, "values": schedule_values("cosine", 0, 12)},
        {"spec": {"kind": "cosine", "learningRate": 0.4, "minimum": 0.01, "warmupSteps": 5}, "values": schedule_values("cosine", 5, 12)},
        {"spec": {"kind": "step", "learningRate": 0.4, "gamma": 0.5, "everySteps": 4, "warmupSteps": 0}, "values": schedule_values("step", 0, 12)},
    ],
}  # fmt: skip

target = pathlib.Path(__file__).parent.parent / "test" / "fixtures" / "pytorch-optimizers.json"
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(json.dumps(fixture, indent=1) + "\n")
print(f"wrote {target}")
