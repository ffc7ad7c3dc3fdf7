#!/usr/bin/python3
"""Records gradients as PyTorch computes them (in float64) for src/autodiff/gradient-cases.contract.ts.

Needs Debian's python3-torch. Run from the root of the repository:

    /usr/bin/python3 scripts/record-pytorch-gradients.py

It writes test/fixtures/pytorch-gradients.json, and test/fixtures/pytorch-mlp.onnx, a model as PyTorch exports it. A case is a name, the shapes of its inputs and a function;
its loss is the sum of output * projection, with a random projection, so every output element counts.
"""
import json
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
OUT = "test/fixtures/pytorch-gradients.json"
EXPORTED = "test/fixtures/pytorch-mlp.onnx"
INDICES = torch.tensor([[0, 2, 2, 1], [1, 1, 0, 0]])  # [2, 4], with repetitions
MASK = torch.tensor([[True, False, True], [False, False, True]])  # [2, 3]
LABELS = torch.tensor([2, 0, 1, 2])
WEIGHTS = torch.tensor([1.0, 0.5, 0.0, 2.0])


def gemm(a, b, c=None, alpha=1.0, beta=1.0, ta=False, tb=False):
    y = alpha * ((a.T if ta else a) @ (b.T if tb else b))
    return y if c is None else y + beta * c


CASES = [
    # name, shapes, function, where the inputs lie: any, positive, or away from the kink at 0
    ("Add same shape", [[2, 3], [2, 3]], lambda a, b: a + b, "any"),
    ("Add bias", [[2, 3], [3]], lambda a, b: a + b, "any"),
    ("Add row and column", [[2, 1], [1, 3]], lambda a, b: a + b, "any"),
    ("Add middle axis", [[2, 3, 4], [3, 1]], lambda a, b: a + b, "any"),
    ("Sub broadcast left", [[3], [2, 3]], lambda a, b: a - b, "any"),
    ("Mul same shape", [[2, 3], [2, 3]], lambda a, b: a * b, "any"),
    ("Mul scalar", [[2, 3], []], lambda a, b: a * b, "any"),
    ("Mul square", [[2, 3]], lambda a: a * a, "any"),
    ("Div broadcast", [[2, 3], [3]], lambda a, b: a / b, "positive"),
    ("Div scalar by matrix", [[], [2, 3]], lambda a, b: a / b, "positive"),
    ("Where", [[2, 3], []], lambda a, b: torch.where(MASK, a, b), "any"),
    ("Neg", [[2, 3]], lambda a: -a, "any"),
    ("Sign", [[2, 3]], lambda a: a * torch.sign(a), "kink"),
    ("Relu", [[3, 4]], torch.relu, "kink"),
    ("Tanh", [[2, 3]], torch.tanh, "any"),
    ("Sigmoid", [[2, 3]], torch.sigmoid, "any"),
    ("HardSigmoid", [[3, 4]], lambda a: torch.clamp(2.0 * a + 0.5, 0, 1), "any"),
    ("Exp", [[2, 3]], torch.exp, "any"),
    ("Log", [[2, 3]], torch.log, "positive"),
    ("Sqrt", [[2, 3]], torch.sqrt, "positive"),
    ("Identity", [[2, 3]], lambda a: a * 1, "any"),
    ("Cast", [[2, 3]], lambda a: a * 1, "any"),
    ("Gemm", [[2, 3], [3, 4], [4]], lambda a, b, c: gemm(a, b, c, 0.5, 2.0), "any"),
    ("Gemm transA", [[3, 2], [3, 4], [2, 1]], lambda a, b, c: gemm(a, b, c, 0.5, 2.0, ta=True), "any"),
    ("Gemm transB", [[2, 3], [4, 3]], lambda a, b: gemm(a, b, tb=True), "any"),
    ("Gemm transA transB", [[3, 2], [4, 3], []], lambda a, b, c: gemm(a, b, c, ta=True, tb=True), "any"),
    ("MatMul", [[2, 3], [3, 4]], torch.matmul, "any"),
    ("MatMul batch by weight", [[2, 3, 4], [4, 5]], torch.matmul, "any"),
    ("MatMul batches", [[2, 3, 4], [2, 4, 5]], torch.matmul, "any"),
    ("MatMul broadcast batches", [[2, 1, 3, 4], [3, 4, 2]], torch.matmul, "any"),
    ("MatMul vector matrix", [[3], [3, 4]], torch.matmul, "any"),
    ("MatMul matrix vector", [[2, 3], [3]], torch.matmul, "any"),
    ("MatMul vectors", [[3], [3]], torch.matmul, "any"),
    ("MatMul batch by vector", [[2, 3, 4], [4]], torch.matmul, "any"),
    ("MatMul vector by batch", [[3], [2, 3, 4]], torch.matmul, "any"),
    ("ReduceSum all", [[2, 3]], lambda a: a.sum(), "any"),
    ("ReduceSum axis", [[2, 3]], lambda a: a.sum(0), "any"),
    ("ReduceSum two axes kept", [[2, 3, 4]], lambda a: a.sum((0, 2), keepdim=True), "any"),
    ("ReduceMean all", [[2, 3]], lambda a: a.mean(), "any"),
    ("ReduceMean last axis", [[2, 3, 4]], lambda a: a.mean(-1), "any"),
    ("ReduceMax axis", [[3, 4]], lambda a: a.amax(1), "any"),
    ("ReduceMax all", [[3, 4]], lambda a: a.amax(), "any"),
    ("Softmax", [[2, 4]], lambda a: torch.softmax(a, -1), "any"),
    ("Softmax first axis", [[3, 2]], lambda a: torch.softmax(a, 0), "any"),
    ("LogSoftmax", [[2, 4]], lambda a: torch.log_softmax(a, -1), "any"),
    ("LogSoftmax first axis", [[3, 2]], lambda a: torch.log_softmax(a, 0), "any"),
    ("Reshape", [[2, 6]], lambda a: a.reshape(3, 4), "any"),
    ("Flatten", [[2, 3, 2]], lambda a: a.flatten(1), "any"),
    ("Transpose", [[2, 3, 4]], lambda a: a.permute(2, 0, 1), "any"),
    ("Unsqueeze", [[2, 3]], lambda a: a[:, None, :, None], "any"),
    ("Squeeze", [[2, 1, 3]], lambda a: a.squeeze(1), "any"),
    ("Expand", [[3, 1]], lambda a: a.expand(2, 3, 4), "any"),
    ("GatherElements", [[2, 3]], lambda a: torch.gather(a, 1, INDICES), "any"),
    ("ScatterElements", [[2, 3], [2, 4]], lambda a, u: a.scatter_add(1, INDICES, u), "any"),
    ("used twice", [[2, 3]], lambda a: a * torch.tanh(a) + a, "any"),
    ("centred", [[2, 3]], lambda a: a - a.mean(1, keepdim=True), "any"),
    (
        "cross entropy",
        [[4, 3]],
        lambda a: (F.cross_entropy(a, LABELS, reduction="none") * WEIGHTS).sum(),
        "any",
    ),
    (
        "squared error",
        [[4, 3], [4, 3]],
        lambda a, b: (((a - b) ** 2).mean(1) * WEIGHTS).sum(),
        "any",
    ),
]


def make_input(shape, where):
    if where == "positive":
        values = torch.rand(shape) + 0.5
    else:
        values = torch.randn(shape)
        if where == "kink":
            values = values + 0.2 * torch.sign(values)
    return values.float().double().requires_grad_()  # numbers that float32 holds exactly


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def record(name, shapes, function, where):
    inputs = [make_input(shape, where) for shape in shapes]
    output = function(*inputs)
    projection = torch.randn(output.shape).float().double()
    (output * projection).sum().backward()
    return {
        "name": name,
        "shapes": shapes,
        "inputs": [numbers(value) for value in inputs],
        "outputShape": list(output.shape),
        "output": numbers(output),
        "projection": numbers(projection),
        "gradients": [numbers(value.grad) for value in inputs],
    }


def pattern(shape, salt):
    """Numbers in [-1, 1) with 24 bits that the test computes, too: a multiplicative hash of the index."""
    count = 1
    for size in shape:
        count *= size
    index = torch.arange(count, dtype=torch.int64)
    word = ((index + 1) * 2654435761 + salt * 40503) % 2**32
    return (2 * (word // 256).double() / 2**24 - 1).reshape(shape)


def record_mlp(sizes, batch):
    x = (pattern([batch, sizes[0]], 100) + 1) / 2
    labels = torch.arange(batch) * 7 % sizes[-1]
    weights = torch.tensor([0.0 if i % 8 == 7 else 1.0 for i in range(batch)])
    parameters = {}
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        bound = inputs**-0.5
        for j, (kind, shape) in enumerate([("weight", [outputs, inputs]), ("bias", [outputs])]):
            values = (pattern(shape, 2 * i + j) * bound).float().double()
            parameters[f"layers.{i}.{kind}"] = values.requires_grad_()
    h = x
    for i in range(len(sizes) - 1):
        h = F.linear(h, parameters[f"layers.{i}.weight"], parameters[f"layers.{i}.bias"])
        h = torch.relu(h) if i < len(sizes) - 2 else h
    loss = (F.cross_entropy(h, labels, reduction="none") * weights).sum()
    loss.backward()
    correct = ((h.argmax(1) == labels) * weights).sum()
    gradients = {
        name: {"norm": float(value.grad.norm()), "first": numbers(value.grad.flatten()[:8])}
        for name, value in parameters.items()
    }
    return {"sizes": sizes, "batch": batch, "loss": float(loss), "correct": float(correct), "gradients": gradients}


def export_mlp():
    """Exports a small network with a batch of any size; returns an input and its output."""
    layers = [torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2), torch.nn.LogSoftmax(1)]
    model = torch.nn.Sequential(*layers).float()
    x = torch.randn(2, 2, 2).float()
    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    names = {"input_names": ["input"], "output_names": ["output"], "dynamic_axes": axes}
    torch.onnx.export(model, x, EXPORTED, opset_version=17, **names)
    return {"input": numbers(x), "output": numbers(model(x))}


def main():
    torch.manual_seed(20)
    recorded = {
        "torch": torch.__version__,
        "cases": [record(*case) for case in CASES],
        "mlp": record_mlp([784, 128, 10], 32),
        "exported": export_mlp(),
    }
    with open(OUT, "w", encoding="utf-8") as file:
        json.dump(recorded, file, separators=(",", ":"))
        file.write("\n")
    print(f"{len(recorded['cases'])} cases -> {OUT}")


main()
