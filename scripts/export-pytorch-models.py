#!/usr/bin/python3
"""Exports small networks from PyTorch, and records what PyTorch computes with them.

Needs Debian's python3-torch and python3-onnx. Run from the root of the repository:

    /usr/bin/python3 scripts/export-pytorch-models.py

It writes test/fixtures/onnx/*.onnx, and test/fixtures/onnx/recorded.json: for each file one batch, its outputs at
inference, loss and gradients of a training pass, and the losses of the first four steps of gradient descent. A
gradient g is kept as its norm and as the sum of g[i] * sin(i + 1), in which every element counts. Dropout takes the
mask that is 0 at every fourth element, so that the training pass can be repeated elsewhere.
"""
import json
import math
import os
import warnings

import onnx
import onnx.numpy_helper
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.onnx import TrainingMode

FOLDER = "test/fixtures/onnx"
BATCH = 4
STEPS = 4
RATE = 0.1  # of gradient descent, of the mean loss
warnings.filterwarnings("ignore")


def drop_every_fourth(x, p=0.5, training=True, inplace=False):
    """Stands in for F.dropout, which layers call; all of them here have the rate 0.25."""
    if not training or p == 0:
        return x
    keep = (torch.arange(x.numel()) % 4 != 0).to(x.dtype) / (1 - p)
    return x * keep.reshape(x.shape)


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(12, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.hidden(x.view(x.size(0), -1))))


class Cnn(nn.Module):
    """28 x 28 grey images, 10 classes."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1, stride=2)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 12, 3)
        self.bn2 = nn.BatchNorm2d(12, momentum=0.3)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(108, 10)
        with torch.no_grad():
            for bn in (self.bn1, self.bn2):
                bn.running_mean.uniform_(-0.2, 0.2)
                bn.running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.avg_pool2d(F.relu(self.bn2(self.conv2(x))), 3, stride=1)
        return self.fc(self.drop(torch.flatten(x, 1)))


class Residual(nn.Module):
    """3 x 8 x 8 images: a strided block with a 1 x 1 shortcut, then the mean over the image."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.a = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
        self.bn_a = nn.BatchNorm2d(8)
        self.b = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn_b = nn.BatchNorm2d(8)
        self.shortcut = nn.Conv2d(4, 8, 1, stride=2, bias=False)
        self.bn_s = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn(self.stem(x))), 3, stride=1, padding=1)
        y = self.bn_b(self.b(F.relu(self.bn_a(self.a(x)))))
        x = F.relu(y + self.bn_s(self.shortcut(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Attention(nn.Module):
    """nn.TransformerEncoderLayer over a sequence of vectors, classified by the mean."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.25, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


class MultiHead(nn.Module):
    """nn.MultiheadAttention as it stands, sequence first, as older code calls it."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = x.transpose(0, 1)
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.head((x + y)[0])


class Embedding(nn.Module):
    """Bag of words."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, ids):
        return self.head(self.embedding(ids).mean(dim=1))


class CausalText(nn.Module):
    """One block of a language model, with the shapes computed as people write them."""

    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(11, 8)
        self.position = nn.Embedding(16, 8)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.mix = nn.Linear(8, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.register_buffer("mask", torch.tril(torch.ones(16, 16)).view(1, 1, 16, 16))

    def forward(self, ids):
        b, t = ids.shape
        x = self.token(ids) + self.position(torch.arange(t, device=ids.device))
        q, k, v = self.qkv(self.norm(x)).split(8, dim=2)
        q, k, v = (part.view(b, t, 2, 4).transpose(1, 2) for part in (q, k, v))
        scores = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        scores = scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        y = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).contiguous().view(b, t, 8)
        return self.head(x + self.mix(y))


class NormGelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(6, 10), nn.LayerNorm(10), nn.GELU(), nn.Linear(10, 10), nn.SiLU(), nn.Dropout(0.25)
        )
        self.out = nn.Linear(10, 2)

    def forward(self, x):
        return self.out(self.body(x))


class Probabilities(nn.Module):
    """Ends in Softmax, as networks made for inference do."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 3)

    def forward(self, x):
        return torch.softmax(self.fc(x.flatten(1)), dim=-1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


class Normalized(nn.Module):
    """GroupNorm and InstanceNorm, with and without weights of their own."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.group = nn.GroupNorm(2, 4)
        self.conv2 = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.instance = nn.InstanceNorm2d(4, affine=True)
        self.plain = nn.InstanceNorm2d(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = F.relu(self.group(self.conv1(x)))
        x = self.plain(F.relu(self.instance(self.conv2(x))))
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1))


class Enlarger(nn.Module):
    """Twice the pixels of a grey image, by PixelShuffle."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.last = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x):
        return self.last(torch.tanh(self.shuffle(self.conv(x))))


class Segmenter(nn.Module):
    """A small U-Net: a class for every pixel."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(2, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 6, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2)
        self.last = nn.Conv2d(10, 3, 1)

    def forward(self, x):
        x = F.relu(self.down(x))
        y = self.up(F.relu(self.inner(F.max_pool2d(x, 2))))
        return self.last(torch.cat([x, y], 1))


class Masker(nn.Module):
    """A yes or no for every pixel, resized between pixels in both ways."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x):
        y = F.interpolate(F.relu(self.conv(x)), scale_factor=1.5, mode="bilinear", align_corners=False)
        return F.interpolate(self.last(y), size=x.shape[2:], mode="bilinear", align_corners=True)


class IndexAttention(nn.Module):
    """Attention written with torch.einsum, with a temperature that is trained."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.temperature = nn.Parameter(torch.tensor(0.5))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        q, k, v = self.qkv(x).view(x.size(0), 5, 3, 2, 4).unbind(2)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * self.temperature
        mixed = torch.einsum("bhqk,bkhd->bqhd", torch.softmax(scores, -1), v)
        return self.head(torch.einsum("bqhd->bhd", mixed).flatten(1) / 5)


def classes(count):
    return {"kind": "classification", "classes": count}


def numbers(shape):
    return {"kind": "regression", "outputs": math.prod(shape), "shape": shape}


def fixture(name, make, features, target, opset, **more):
    return {"name": name, "make": make, "features": features, "target": target, "opset": opset, **more}


FIXTURES = [
    fixture("mlp-fixed-11", Mlp, [3, 4], classes(3), 11, fixed=True),
    fixture("mlp-13", Mlp, [3, 4], classes(3), 13, unfolded=True),
    fixture("cnn-13", Cnn, [1, 28, 28], classes(10), 13, mode=TrainingMode.PRESERVE),
    fixture("cnn-inference-17", Cnn, [1, 28, 28], classes(10), 17),
    fixture("residual-11", Residual, [3, 8, 8], classes(5), 11, mode=TrainingMode.TRAINING),
    fixture("residual-fixed-17", Residual, [3, 8, 8], classes(5), 17, mode=TrainingMode.TRAINING, fixed=True),
    fixture("attention-11", Attention, [5, 8], classes(3), 11, mode=TrainingMode.TRAINING),
    fixture("attention-17", Attention, [5, 8], classes(3), 17, mode=TrainingMode.TRAINING),
    fixture("multi-head-13", MultiHead, [5, 8], classes(3), 13, mode=TrainingMode.TRAINING),
    fixture("multi-head-fixed-17", MultiHead, [5, 8], classes(3), 17, fixed=True),
    fixture("embedding-13", Embedding, [7], classes(4), 13, vocabulary=11),
    fixture("causal-text-17", CausalText, [9], {"kind": "sequence", "classes": 11, "length": 9}, 17, vocabulary=11),
    fixture("norm-gelu-11", NormGelu, [6], {"kind": "regression", "outputs": 2}, 11, mode=TrainingMode.TRAINING),
    fixture("norm-gelu-17", NormGelu, [6], {"kind": "binary", "outputs": 2}, 17, mode=TrainingMode.TRAINING),
    fixture("probabilities-9", Probabilities, [3, 4], classes(3), 9, fixed=True),
    fixture("normalized-13", Normalized, [3, 6, 6], classes(3), 13, mode=TrainingMode.TRAINING),
    fixture("enlarger-11", Enlarger, [1, 4, 4], numbers([1, 8, 8]), 11),
    fixture("segmenter-9", Segmenter, [2, 6, 6], {"kind": "segmentation", "classes": 3, "size": [6, 6]}, 9),
    fixture("segmenter-17", Segmenter, [2, 6, 6], {"kind": "segmentation", "classes": 3, "size": [6, 6]}, 17),
    fixture("masker-11", Masker, [3, 7, 6], {**numbers([1, 7, 6]), "kind": "binary"}, 11),
    fixture("masker-17", Masker, [3, 7, 6], {**numbers([1, 7, 6]), "kind": "binary"}, 17),
    fixture("index-attention-17", IndexAttention, [5, 8], classes(3), 17, mode=TrainingMode.TRAINING),
    fixture("lstm-17", Recurrent, [5, 6], classes(3), 17, records=False),
]


def batch_of(spec):
    target = spec["target"]
    if "vocabulary" in spec:
        x = torch.randint(0, spec["vocabulary"], [BATCH, *spec["features"]])
    else:
        x = (torch.randn(BATCH, *spec["features"]) * 16).round() / 16  # short in the file, exact
    if target["kind"] == "classification":
        y = torch.randint(0, target["classes"], [BATCH])
    elif target["kind"] == "sequence":
        y = torch.randint(0, target["classes"], [BATCH, target["length"]])
    elif target["kind"] == "segmentation":
        y = torch.randint(0, target["classes"], [BATCH, *target["size"]])
    elif target["kind"] == "binary":
        y = torch.randint(0, 2, [BATCH, *target.get("shape", [target["outputs"]])]).float()
    else:
        y = torch.randn(BATCH, *target.get("shape", [target["outputs"]]))
    return x, y


def loss_of(kind, output, y):
    """The sum over samples of the mean loss of each."""
    if kind == "classification":
        return F.cross_entropy(output, y, reduction="sum")
    if kind == "sequence":
        return F.cross_entropy(output.flatten(0, 1), y.flatten(), reduction="sum") / y.shape[1]
    if kind == "segmentation":
        return F.cross_entropy(output, y, reduction="none").flatten(1).mean(1).sum()
    if kind == "binary":
        return F.binary_cross_entropy_with_logits(output, y, reduction="none").flatten(1).mean(1).sum()
    return F.mse_loss(output, y, reduction="none").flatten(1).mean(1).sum()


def logits_of(model, x):
    return model.fc(x.flatten(1)) if isinstance(model, Probabilities) else model(x)


def sketch(tensor):
    flat = tensor.detach().double().flatten()
    waves = torch.sin(torch.arange(1, flat.numel() + 1, dtype=torch.float64))
    return {"norm": round_to(flat.norm().item()), "waves": round_to((flat * waves).sum().item())}


def round_to(number):
    return float(f"{number:.9g}")


def place_of(initializer, named):
    """The parameter that an initializer came from: by name, or, where the exporter renamed it, by its values."""
    values = torch.from_numpy(onnx.numpy_helper.to_array(initializer).copy())
    if initializer.name in named:
        return initializer.name, False
    for name, parameter in named.items():
        if parameter.shape == values.shape and torch.equal(parameter, values):
            return name, False
        if parameter.dim() == 2 and parameter.T.shape == values.shape and torch.equal(parameter.T, values):
            return name, True
    return None, False


def record(spec, model, path):
    x, y = batch_of(spec)
    named = {name: p.detach().clone() for name, p in model.named_parameters()}
    output = model.eval()(x)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    kind = spec["target"]["kind"]
    training = spec.get("mode", TrainingMode.EVAL) != TrainingMode.EVAL
    model.train(training)
    loss = loss_of(kind, logits_of(model, x), y)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    recorded = {}
    for initializer in onnx.load(path).graph.initializer:
        name, is_transposed = place_of(initializer, named)
        if name is not None:
            gradient = gradients[name]
            recorded[initializer.name] = sketch(gradient.T if is_transposed else gradient)
    moved = {}
    if training:
        for name, value in model.state_dict().items():
            if "running" in name:
                moved[name] = sketch(value - state[name])
    losses = [loss.item()]
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE / BATCH)
    while len(losses) < STEPS:
        optimizer.step()
        optimizer.zero_grad()
        loss = loss_of(kind, logits_of(model, x), y)
        loss.backward()
        losses.append(loss.item())
    return {
        "features": spec["features"],
        "target": spec["target"],
        **({"vocabulary": spec["vocabulary"]} if "vocabulary" in spec else {}),
        "x": [round_to(v) for v in x.flatten().tolist()],
        "y": y.flatten().tolist(),
        "output": [round_to(v) for v in output.flatten().tolist()],
        "losses": [round_to(loss) for loss in losses],
        "gradients": recorded,
        "moved": moved,
    }


def export(spec, model, path):
    mode = spec.get("mode", TrainingMode.EVAL)
    model.train(mode != TrainingMode.EVAL)
    x, _ = batch_of(spec)
    names = {"input_names": ["image"], "output_names": ["scores"]}
    if not spec.get("fixed"):
        names["dynamic_axes"] = {"image": {0: "batch"}, "scores": {0: "batch"}}
    torch.onnx.export(
        model,
        x[:1] if spec.get("fixed") else x[:2],
        path,
        opset_version=spec["opset"],
        training=mode,
        do_constant_folding=not spec.get("unfolded", False) and mode == TrainingMode.EVAL,
        **names,
    )


def main():
    os.makedirs(FOLDER, exist_ok=True)
    recorded = {}
    for number, spec in enumerate(FIXTURES):
        torch.manual_seed(number)
        model = spec["make"]()
        path = f"{FOLDER}/{spec['name']}.onnx"
        export(spec, model, path)
        # Exporting in training mode moves the running statistics; the file has them before or after.
        written = {i.name: i for i in onnx.load(path).graph.initializer}
        for name, buffer in model.named_buffers():
            if name in written:
                buffer.copy_(torch.from_numpy(onnx.numpy_helper.to_array(written[name]).copy()))
        if spec.get("records", True):
            dropout, F.dropout = F.dropout, drop_every_fourth
            recorded[spec["name"]] = record(spec, model, path)
            F.dropout = dropout
    with open(f"{FOLDER}/recorded.json", "w") as out:
        json.dump(recorded, out, separators=(",", ":"))
        out.write("\n")


main()
