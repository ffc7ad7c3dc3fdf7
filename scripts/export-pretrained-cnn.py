#!/usr/bin/python3
"""Trains a small network in PyTorch on the first 1000 images of MNIST, and exports it.

Needs Debian's python3-torch and python3-onnx. Run from the root of the repository:

    /usr/bin/python3 scripts/export-pretrained-cnn.py

It writes test/fixtures/onnx/pretrained-13.onnx, for inference but with its BatchNorm left apart, and prints the
network's test accuracy.
"""
import struct

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.onnx import TrainingMode

DATA = "datasets/mnist"
PATH = "test/fixtures/onnx/pretrained-13.onnx"
SAMPLES = 1000
EPOCHS = 4
BATCH = 20


class Pretrained(nn.Module):
    """28 x 28 grey images, 10 classes."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.fc = nn.Linear(144, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return self.fc(torch.flatten(x, 1))


def unpacked(path):
    """As src/data/formats/zero-runs.ts says: counts of zeros and of bytes, then these."""
    packed = open(path, "rb").read()
    content, at = bytearray(), 0
    while at + 1 < len(packed):
        zeros, count = packed[at : at + 2]
        content += bytes(zeros) + packed[at + 2 : at + 2 + count]
        at += 2 + count
    return bytes(content)


def idx_file(name):
    content = unpacked(f"{DATA}/{name}.runs")
    _, _, kind, axes = struct.unpack("BBBB", content[:4])
    assert kind == 8, name
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    pixels = numpy.frombuffer(content[4 + 4 * axes :], dtype=numpy.uint8)
    return torch.from_numpy(pixels.reshape(shape).copy())


def samples(split):
    images = idx_file(f"{split}-images-idx3-ubyte").unsqueeze(1).float() / 255
    return (images - 0.1307) / 0.3081, idx_file(f"{split}-labels-idx1-ubyte").long()


def train(model, x, y):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Pretrained()
    x, y = samples("train")
    train(model, x[:SAMPLES], y[:SAMPLES])
    with torch.no_grad():
        test, labels = samples("t10k")
        accuracy = (model.eval()(test).argmax(1) == labels).float().mean().item()
    print(f"test accuracy {accuracy:.4f}")
    torch.onnx.export(
        model,
        x[:2],
        PATH,
        opset_version=13,
        training=TrainingMode.PRESERVE,  # EVAL would merge BatchNorm into the convolutions.
        do_constant_folding=False,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}},
    )


main()
