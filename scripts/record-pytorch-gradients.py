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
    # name, shapes, function, where the inputs lie: any, positive, away from the kink at 0, a quarter above whole numbers, or an eighth apart
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


IGNORING = torch.tensor([2, 3, 3, 0])
ANSWERS = torch.tensor([[0, 1], [1, 0], [0.5, 0], [0.25, 1]])
POSITIONS = torch.tensor([[0, 1], [2, 0], [0, 1]])


def write_elements(a, u):
    return a.scatter(1, torch.tensor([[2, 0], [0, 1]]), u)


def write_rows(a, u):
    return a.index_copy(0, torch.tensor([2, 0]), u)


def split_product(a):
    first, second, third = a.split([2, 1, 2], -1)
    return first * second * third


def attention(q, k, v):
    future = torch.ones(3, 3).triu(1).bool()
    return torch.softmax((q * 0.5 @ k.transpose(1, 2)).masked_fill(future, -1e30), -1) @ v


def reverse_sum(a):
    return a.flip(0).cumsum(0).flip(0) - a


# Elements, sequences, selections.
CASES += [
    ("Pow square", [[2, 3]], lambda a: a**2, "any"),
    ("Pow cube", [[2, 3]], lambda a: a**3, "any"),
    ("Pow root", [[2, 3]], lambda a: a**0.5, "positive"),
    ("Pow fraction", [[2, 3]], lambda a: a**-1.5, "positive"),
    ("Pow of two", [[2, 3], [3]], lambda a, b: a**b, "positive"),
    ("Min", [[2, 3], [3]], torch.minimum, "any"),
    ("Max of three", [[2, 3], [3], [2, 1]], lambda a, b, c: torch.maximum(torch.maximum(a, b), c), "any"),
    ("Max of one twice", [[2, 3]], lambda a: torch.maximum(a, a), "any"),
    ("Sum", [[2, 3], [3], []], lambda a, b, c: a + b + c, "any"),
    ("Clip", [[3, 4]], lambda a: a.clamp(-0.5, 0.8), "any"),
    ("Clip below", [[3, 4]], lambda a: a.clamp(min=-0.5), "any"),
    ("Clip above", [[3, 4]], lambda a: a.clamp(max=0.5), "any"),
    ("Clip trained bounds", [[3, 4], []], lambda a, b: torch.clamp(a, b - 0.5, b + 0.5), "any"),
    ("Abs", [[3, 4]], torch.abs, "kink"),
    ("Floor", [[2, 3]], lambda a: a * a.floor(), "quarter"),
    ("Ceil", [[2, 3]], lambda a: a * a.ceil(), "quarter"),
    ("Round", [[2, 3]], lambda a: a * a.round(), "quarter"),
    ("Reciprocal", [[2, 3]], torch.reciprocal, "positive"),
    ("Erf", [[3, 4]], torch.erf, "any"),
    ("Sin", [[2, 3]], torch.sin, "any"),
    ("Cos", [[2, 3]], torch.cos, "any"),
    ("LeakyRelu", [[3, 4]], lambda a: F.leaky_relu(a, 0.2), "kink"),
    ("PRelu", [[2, 3], [3]], lambda a, b: torch.where(a > 0, a, a * b), "kink"),
    ("Elu", [[3, 4]], lambda a: F.elu(a, 0.7), "kink"),
    ("Celu", [[3, 4]], lambda a: F.celu(a, 0.7), "kink"),
    ("Selu", [[3, 4]], F.selu, "kink"),
    ("Softplus", [[3, 4]], F.softplus, "any"),
    ("Softsign", [[3, 4]], F.softsign, "kink"),
    ("HardSwish", [[3, 4]], lambda a: F.hardswish(4 * a), "any"),
    ("Dropout", [[2, 3]], lambda a: a * 1, "any"),
    ("ReduceMin axis", [[3, 4]], lambda a: a.amin(1), "any"),
    ("ReduceL1 axis", [[3, 4]], lambda a: a.abs().sum(1), "kink"),
    ("ReduceL2 axis", [[3, 4]], lambda a: a.norm(dim=0, keepdim=True), "any"),
    ("ReduceSumSquare axis", [[3, 4]], lambda a: (a * a).sum(1), "any"),
    ("ReduceLogSumExp axis", [[3, 4]], lambda a: a.logsumexp(1), "any"),
    ("LayerNormalization", [[2, 3, 4], [4], [4]], lambda a, b, c: F.layer_norm(a, [4], b, c), "any"),
    ("LayerNormalization two axes", [[2, 3, 4], [3, 4]], lambda a, b: F.layer_norm(a, [3, 4], b, eps=0.1), "any"),
    (
        "LayerNormalization broadcast scale",
        [[2, 3, 4], [4], [3, 1]],
        lambda a, b, c: F.layer_norm(a, [3, 4]) * b + c,
        "any",
    ),
    ("LayerNormalization one output", [[3, 4], [4], [4]], lambda a, b, c: F.layer_norm(a, [4], b, c), "any"),
    ("Gather rows", [[5, 3]], lambda a: F.embedding(torch.tensor([[4, 0, 1], [1, 4, 1]]), a), "any"),
    ("Gather middle axis", [[2, 3, 2]], lambda a: a[:, torch.tensor([[2, 0], [1, 1]])], "any"),
    ("Gather one index", [[2, 4, 3]], lambda a: a[:, 2], "any"),
    ("GatherND", [[3, 2, 2]], lambda a: a[POSITIONS[:, 0], POSITIONS[:, 1]], "any"),
    (
        "ScatterND add",
        [[3, 2, 2], [3, 2]],
        lambda a, u: a.index_put((POSITIONS[:, 0], POSITIONS[:, 1]), u, accumulate=True),
        "any",
    ),
    ("ScatterND write", [[3, 2], [2, 2]], write_rows, "any"),
    ("ScatterElements write", [[2, 3], [2, 2]], write_elements, "any"),
    ("Concat", [[2, 3], [2, 1]], lambda a, b: torch.cat([a, b, a], 1), "any"),
    ("Split", [[3, 5]], split_product, "any"),
    ("Split in part", [[3, 2]], lambda a: a.split([2, 1], 0)[0], "any"),
    ("Slice", [[3, 2, 4]], lambda a: a[-2:, :, 1:3], "any"),
    ("Slice steps", [[5, 7]], lambda a: a.flip(0)[::2, 1:6:3], "any"),
    ("Tile", [[2, 3]], lambda a: a.repeat(2, 3), "any"),
    ("Trilu lower", [[2, 3, 3]], torch.tril, "any"),
    ("Trilu upper", [[3, 4]], lambda a: torch.triu(a, 1), "any"),
    ("CumSum", [[2, 4]], lambda a: a.cumsum(1), "any"),
    ("CumSum reverse", [[4, 2]], reverse_sum, "any"),
    ("gelu by erf", [[3, 4]], F.gelu, "any"),
    ("gelu by tanh", [[3, 4]], lambda a: F.gelu(a, approximate="tanh"), "any"),
    (
        "cross entropy smoothed",
        [[4, 3]],
        lambda a: (F.cross_entropy(a, LABELS, reduction="none", label_smoothing=0.1) * WEIGHTS).sum(),
        "any",
    ),
    (
        "cross entropy ignored",
        [[4, 3]],
        lambda a: (F.cross_entropy(a, IGNORING, reduction="none", label_smoothing=0.1, ignore_index=3) * WEIGHTS).sum(),
        "any",
    ),
    (
        "binary cross entropy",
        [[4, 2]],
        lambda a: (F.binary_cross_entropy_with_logits(8 * a, ANSWERS, reduction="none").mean(1) * WEIGHTS).sum(),
        "any",
    ),
    ("attention", [[2, 3, 4], [2, 3, 4], [2, 3, 2]], attention, "any"),
]


# Convolutions, pooling, normalisation with statistics.
CASES += [
    ("Conv", [[2, 3, 5, 4], [4, 3, 3, 2], [4]], F.conv2d, "any"),
    (
        "Conv stride and pads",
        [[2, 2, 6, 5], [3, 2, 3, 3], [3]],
        lambda a, b, c: F.conv2d(a, b, c, stride=(2, 1), padding=(1, 2)),
        "any",
    ),
    ("Conv dilation", [[2, 2, 6, 6], [3, 2, 3, 3]], lambda a, b: F.conv2d(a, b, dilation=2, padding=2), "any"),
    ("Conv groups", [[2, 4, 5, 5], [6, 2, 3, 3]], lambda a, b: F.conv2d(a, b, groups=2, stride=2), "any"),
    ("Conv depthwise", [[2, 3, 4, 4], [3, 1, 3, 3]], lambda a, b: F.conv2d(a, b, groups=3, padding=1), "any"),
    ("Conv pointwise", [[2, 3, 4, 4], [5, 3, 1, 1]], F.conv2d, "any"),
    ("Conv one axis", [[2, 3, 7], [4, 3, 3], [4]], lambda a, b, c: F.conv1d(a, b, c, stride=2, padding=1), "any"),
    ("Conv same lower", [[2, 2, 4, 4], [3, 2, 2, 2]], lambda a, b: F.conv2d(F.pad(a, (1, 0, 1, 0)), b), "any"),
    (
        "ConvTranspose",
        [[2, 3, 4, 3], [3, 2, 3, 3], [2]],
        lambda a, b, c: F.conv_transpose2d(a, b, c, stride=2, padding=1, output_padding=1),
        "any",
    ),
    (
        "ConvTranspose groups",
        [[2, 4, 3, 3], [4, 2, 2, 2]],
        lambda a, b: F.conv_transpose2d(a, b, groups=2, dilation=2),
        "any",
    ),
    ("MaxPool", [[2, 2, 4, 6]], lambda a: F.max_pool2d(a, 2), "distinct"),
    ("MaxPool overlapping", [[2, 2, 5, 5]], lambda a: F.max_pool2d(a, 3, 2, 1), "distinct"),
    ("MaxPool ceil", [[2, 2, 5, 5]], lambda a: F.max_pool2d(a, 2, ceil_mode=True), "distinct"),
    ("MaxPool one axis", [[2, 2, 7]], lambda a: F.max_pool1d(a, 2, 1, 0, 2), "distinct"),
    ("AveragePool", [[2, 2, 4, 6]], lambda a: F.avg_pool2d(a, 2), "any"),
    ("AveragePool overlapping", [[2, 2, 5, 5]], lambda a: F.avg_pool2d(a, 3, 2, 1), "any"),
    (
        "AveragePool inside",
        [[2, 2, 5, 5]],
        lambda a: F.avg_pool2d(a, 3, 2, 1, count_include_pad=False),
        "any",
    ),
    (
        "AveragePool ceil",
        [[2, 2, 5, 4]],
        lambda a: F.avg_pool2d(a, (2, 3), 2, ceil_mode=True, count_include_pad=False),
        "any",
    ),
    ("GlobalAveragePool", [[2, 3, 4, 2]], lambda a: a.mean((2, 3), keepdim=True), "any"),
    ("GlobalMaxPool", [[2, 3, 4, 2]], lambda a: a.amax((2, 3), keepdim=True), "distinct"),
    (
        "BatchNormalization",
        [[3, 2, 2, 2], [2], [2]],
        lambda a, b, c: F.batch_norm(a, torch.tensor([0.5, -1.0]), torch.tensor([0.25, 2.0]), b, c),
        "any",
    ),
    (
        "BatchNormalization by statistics",
        [[3, 2], [2], [2]],
        lambda a, m, v: (a - m) / torch.sqrt(v + 0.1) * torch.tensor([0.5, -1.0]) + torch.tensor([0.25, 2.0]),
        "positive",
    ),
    ("Pad", [[2, 3]], lambda a: F.pad(a, (1, 2, 0, 1)), "any"),
    ("Pad value and cut", [[2, 3]], lambda a: F.pad(a, (-1, 2), value=0.5), "any"),
    (
        # The last sample is padding.
        "batch normalization in training",
        [[4, 2, 3, 2], [2], [2]],
        lambda a, b, c: F.batch_norm(a[:3], None, None, b, c, training=True),
        "any",
    ),
    (
        "batch normalization in training without axes",
        [[9, 3], [3], [3]],
        lambda a, b, c: F.batch_norm(a[:8], None, None, b, c, training=True),
        "any",
    ),
]

RESIZED = [[2, 2, 3, 4]]


def resized(**options):
    return lambda a: F.interpolate(a, **options)


def group_norm(a, b, c):
    return F.instance_norm(a, weight=b, bias=c, eps=0.1)


def einsum(equation):
    return lambda *operands: torch.einsum(equation, *operands)


# What image networks and attention are made of besides: normalisation per sample, pixels, index equations.
CASES += [
    ("InstanceNormalization", [[2, 3, 4, 2], [3], [3]], group_norm, "any"),
    ("InstanceNormalization one axis", [[3, 2, 5], [2], [2]], group_norm, "any"),
    ("DepthToSpace", [[2, 8, 2, 3]], lambda a: F.pixel_shuffle(a, 2), "any"),
    (
        "DepthToSpace depth first",
        [[2, 8, 2, 3]],
        lambda a: a.reshape(2, 2, 2, 2, 2, 3).permute(0, 3, 4, 1, 5, 2).reshape(2, 2, 4, 6),
        "any",
    ),
    ("Resize nearest", RESIZED, resized(scale_factor=2, mode="nearest"), "any"),
    ("Resize nearest by sizes", RESIZED, resized(size=(5, 7), mode="nearest"), "any"),
    ("Resize nearest smaller", RESIZED, resized(size=(2, 3), mode="nearest"), "any"),
    ("Resize nearest one axis", [[2, 2, 3]], resized(scale_factor=3, mode="nearest"), "any"),
    ("Resize linear", RESIZED, resized(scale_factor=2, mode="bilinear"), "any"),
    ("Resize linear by a fraction", RESIZED, resized(scale_factor=1.7, mode="bilinear"), "any"),
    ("Resize linear smaller", RESIZED, resized(size=(2, 3), mode="bilinear"), "any"),
    ("Resize linear corners", RESIZED, resized(size=(5, 7), mode="bilinear", align_corners=True), "any"),
    ("Resize linear one axis", [[2, 2, 3]], resized(size=5, mode="linear"), "any"),
    ("Resize linear three axes", [[1, 2, 2, 3, 2]], resized(scale_factor=2, mode="trilinear"), "any"),
    ("Einsum product", [[2, 3], [3, 4]], einsum("ij,jk->ki"), "any"),
    ("Einsum heads", [[2, 3, 2, 4], [2, 5, 2, 4]], einsum("bqhd,bkhd->bhqk"), "any"),
    ("Einsum weight", [[2, 3, 4], [2, 4, 5]], einsum("bsi,hio->bhso"), "any"),
    ("Einsum outer and sums", [[2, 3], [4, 5]], einsum("ij,kl->ik"), "any"),
    ("Einsum inner", [[2, 3], [3, 2]], einsum("ij,ji->"), "any"),
    ("Einsum ellipsis", [[2, 3, 4], [4, 5]], einsum("...i,ij->...j"), "any"),
    ("Einsum implied", [[2, 3], [4, 3]], einsum("ij,kj"), "any"),
    ("Einsum transpose", [[2, 3, 4]], einsum("abc->cab"), "any"),
    ("Einsum sums", [[2, 3, 4]], einsum("abc->ca"), "any"),
    ("Einsum sum of all", [[2, 3]], einsum("ab->"), "any"),
]


def make_input(shape, where):
    if where == "positive":
        values = torch.rand(shape) + 0.5
    elif where == "quarter":
        values = torch.floor(2 * torch.randn(shape)) + 0.25  # between the steps of floor, ceil and round
    elif where == "distinct":
        count = int(torch.tensor(shape).prod())
        values = (torch.randperm(count) / 8 - 1).reshape(shape)  # no two of them near each other
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
