"""Writes net.onnx: a small convolutional network of PyTorch for grey images of 8 x 8 pixels.

    python3 examples/networks/export.py examples/networks/net.onnx
"""

import sys

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(256, classes))

    def forward(self, x):  # [batch, 1, 8, 8]
        return self.head(self.features(x))  # [batch, classes]


torch.manual_seed(1)
net, example = Net(), torch.zeros(2, 1, 8, 8)
torch.onnx.export(
    net, example, sys.argv[1], input_names=["x"], output_names=["y"], opset_version=17,
    dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
    training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False,
)
