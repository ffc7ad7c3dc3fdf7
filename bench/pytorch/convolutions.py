"""One thread: forward, weight gradient and input gradient of convolutions, one after the other.

Argument: JSON, a list of [batch, channels, size, outputs, kernel, stride]; padding is kernel // 2.
Prints JSON: for each the least of several times in milliseconds, [forward, weight, input].
"""
import json
import sys
import time

import torch

torch.set_num_threads(1)


def least_ms(action):
    action()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def measure(batch, channels, size, outputs, kernel, stride):
    x = torch.randn(batch, channels, size, size, requires_grad=True)
    layer = torch.nn.Conv2d(channels, outputs, kernel, stride, kernel // 2, bias=False)
    y = layer(x)
    dy = torch.randn_like(y)
    return [
        least_ms(lambda: layer(x)),
        least_ms(lambda: torch.autograd.grad(y, layer.weight, dy, retain_graph=True)),
        least_ms(lambda: torch.autograd.grad(y, x, dy, retain_graph=True)),
    ]


print(json.dumps([measure(*layer) for layer in json.loads(sys.argv[1])]))
