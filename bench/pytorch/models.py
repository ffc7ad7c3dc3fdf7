"""Whole eager training steps (forward, loss, backward, Adam) of a model, as people write it.

Arguments: model, batch, steps, threads, flush (1: torch.set_flush_denormal); the data is random.
Prints JSON: median and mean milliseconds per step, samples per second, parameters and peak memory.
Models: mlp, simple_cnn, resnet18, resnet50, gpt, bert, gpt2. Written from parts (Debian has
neither torchvision nor transformers): the same layers and sizes as src/models.
"""
import json
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def simple_cnn():
    layers = []
    for inputs, outputs in [(3, 64), (64, 128), (128, 256)]:
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(512, 10))


class Block(nn.Module):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the channels."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        if bottleneck:
            sizes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        else:
            sizes = [(inputs, width, 3, stride), (width, width, 3, 1)]
        outputs = sizes[-1][1]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, k, s, k // 2, bias=False) for i, o, k, s in sizes
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _, _ in sizes)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        h = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            h = norm(conv(h))
            if i < len(self.convs) - 1:
                h = F.relu(h)
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


def resnet(counts, bottleneck):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 64
    for stage, count in enumerate(counts):
        for i in range(count):
            width = 64 * 2**stage
            layers.append(Block(channels, width, 2 if stage > 0 and i == 0 else 1, bottleneck))
            channels = width * (4 if bottleneck else 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Attention(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        split = lambda t: t.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
        q, k, v = (split(t) for t in self.qkv(x).split(width, 2))
        scores = q @ k.transpose(2, 3) / (width // self.heads) ** 0.5
        if self.causal:
            future = torch.ones(length, length, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        y = scores.softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class Layer(nn.Module):
    """pre: normalise before attention and feed-forward (GPT); otherwise after (BERT)."""

    def __init__(self, width, heads, causal, pre, approximate):
        super().__init__()
        self.pre = pre
        self.attention = Attention(width, heads, causal)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        if self.pre:
            x = x + self.attention(self.norms[0](x))
            return x + self.feed(self.norms[1](x))
        x = self.norms[0](x + self.attention(x))
        return self.norms[1](x + self.feed(x))


class Transformer(nn.Module):
    def __init__(
        self, vocabulary, positions, layers, width, heads, causal, classes, pre, approximate
    ):
        super().__init__()
        self.causal, self.classes, self.pre = causal, classes, pre
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.types = None if pre else nn.Embedding(2, width)
        self.first = nn.Identity() if pre else nn.LayerNorm(width)
        self.layers = nn.Sequential(
            *(Layer(width, heads, causal, pre, approximate) for _ in range(layers))
        )
        self.last = nn.LayerNorm(width) if pre else nn.Identity()
        self.pooler = None if pre else nn.Linear(width, width)
        outputs = vocabulary if classes is None else classes
        self.head = nn.Linear(width, outputs, bias=classes is not None)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        if self.types is not None:
            x = x + self.types(torch.zeros_like(ids))
        x = self.last(self.layers(self.first(x)))
        if self.classes is None:
            return self.head(x).flatten(0, 1)
        return self.head(x[:, -1] if self.pooler is None else torch.tanh(self.pooler(x[:, 0])))


def images(size):
    return lambda batch: (torch.randn(batch, 3, size, size), torch.randint(10, (batch,)))


def tokens(vocabulary, length, classes):
    shape = (lambda batch: (batch * length,)) if classes is None else (lambda batch: (batch,))
    return lambda batch: (
        torch.randint(vocabulary, (batch, length)),
        torch.randint(classes or vocabulary, shape(batch)),
    )


def mlp():
    layers = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(512, 10))


MODELS = {
    "mlp": (mlp, lambda batch: (torch.randn(batch, 784), torch.randint(10, (batch,)))),
    "simple_cnn": (simple_cnn, images(32)),
    "resnet18": (lambda: resnet([2, 2, 2, 2], False), images(64)),
    "resnet50": (lambda: resnet([3, 4, 6, 3], True), images(64)),
    "gpt": (
        lambda: Transformer(256, 128, 4, 128, 4, True, None, True, "tanh"),
        tokens(256, 128, None),
    ),
    "bert": (
        lambda: Transformer(30522, 512, 12, 768, 12, False, 2, False, "none"),
        tokens(30522, 64, 2),
    ),
    "gpt2": (
        lambda: Transformer(50257, 1024, 12, 768, 12, True, 2, True, "tanh"),
        tokens(50257, 64, 2),
    ),
}

name, batch, steps, threads, flush = sys.argv[1], *map(int, sys.argv[2:6])
torch.set_num_threads(threads)
torch.set_flush_denormal(bool(flush))
torch.manual_seed(7)
make, draw = MODELS[name]
model = make()
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
batches = [draw(batch) for _ in range(8)]
times = []
warmup = max(2, steps // 5)
for step in range(warmup + steps):
    x, y = batches[step % len(batches)]
    started = time.perf_counter()
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step >= warmup:
        times.append((time.perf_counter() - started) * 1000)
mean = statistics.mean(times)
print(
    json.dumps(
        {
            "stepMs": statistics.median(times),
            "meanMs": mean,
            "samplesPerSecond": batch / mean * 1000,
            "parameters": sum(p.numel() for p in model.parameters()),
            "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    )
)
