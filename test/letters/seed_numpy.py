"""What the seed system computes, with numpy."""

import numpy as np


def start(h):
    np.random.seed(1)
    v = np.random.uniform(-0.01, 0.01, (h + 1, 26))
    w = np.random.uniform(-0.01, 0.01, (17, h))
    return v, w


def train(path, v, w, epochs, eta):
    """The weights after training on a file, and the share of its rows that are wrong then."""
    table = np.loadtxt(path, delimiter=",", dtype=int)
    x = np.hstack([np.ones((len(table), 1)), table[:, :-1]])
    labels = np.eye(26)[table[:, -1]]
    before_entropy = None
    for _ in range(epochs):
        before, z, y = forward(x, v, w)
        entropy = -(labels * np.log(y + 1e-6)).sum()
        if before_entropy is not None and abs(before_entropy - entropy) <= 0.2:
            break
        before_entropy = entropy
        residual = labels - y
        dv = eta * z.T @ residual
        dw = eta * x.T @ ((residual @ v.T)[:, 1:] * (before >= 0))
        v, w = v + dv, w + dw
    wrong = (forward(x, v, w)[2].argmax(axis=1) != table[:, -1]).mean()
    return v, w, float(wrong)


def forward(x, v, w):
    before = x @ w
    z = np.hstack([np.ones((len(x), 1)), before])
    logits = z @ v
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return before, z, e / e.sum(axis=1, keepdims=True)
