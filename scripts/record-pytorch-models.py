#!/usr/bin/python3
"""Records loss and gradients of small models as PyTorch computes them (in float64), for src/models/models.test.ts,
and the losses of two of them over 50 steps of Adam, for src/models/learning.test.ts.

Needs Debian's python3-torch. Run from the root of the repository:

    /usr/bin/python3 scripts/record-pytorch-models.py

It writes test/fixtures/pytorch-models.json. Models are built from PyTorch's own modules; `parameters` names and shapes
them as src/models does, and `tensors` says how each tensor of a module is made of them. Weights, inputs and labels
follow from formulas that the test computes, too. Sample 1 of each batch has weight 0: PyTorch does not see it.
"""
import json
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.stateless import functional_call

torch.set_default_dtype(torch.float64)
OUT = "test/fixtures/pytorch-models.json"
BATCH = 4
REAL = [0, 2, 3]  # samples of weight 1
MOMENTUM = 0.1
STEPS = 50
LEARN_BATCH = 8
LEARNING_RATE = 0.02


def pattern(shape, salt):
    """Numbers in [-1, 1) with 24 bits: a multiplicative hash of the index."""
    count = 1
    for size in shape:
        count *= size
    index = torch.arange(count, dtype=torch.int64)
    word = ((index + 1) * 2654435761 + salt * 2246822519) % 2**32
    return (2 * (word // 256).double() / 2**24 - 1).reshape(shape)


def weights_of(name, shape):
    """Matrices and kernels at the scale of their inputs; vectors around 0, scales and variances around 1."""
    salt = sum((i + 1) * ord(letter) for i, letter in enumerate(name)) % 1000
    values = pattern(shape, salt)
    if len(shape) >= 2:
        values = values * (3 / (values.numel() / shape[0])) ** 0.5
    elif name.endswith("weight") or name.endswith("running_var"):
        values = 1 + 0.25 * values
    else:
        values = 0.25 * values
    return values.float().double()


def integers(count, step, classes):
    return torch.arange(count) * step % classes


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def tokens(length, vocabulary):
    return integers(BATCH * length, 7, vocabulary).reshape(BATCH, length)


def same(names):
    """Tensors of a module that are parameters of ours under the same name."""
    return {name: (lambda p, name=name: p[name]) for name in names}


class SimpleCnn(nn.Module):
    def __init__(self, width, features, classes):
        super().__init__()
        self.rate = 0.5
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.fc1 = nn.Linear(features, 8 * width)
        self.fc2 = nn.Linear(8 * width, classes)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        h = F.relu(self.fc1(x.flatten(1)))
        if self.rate == 0:
            return self.fc2(h)
        mask = 2 * (pattern([BATCH, h.shape[1]], 700) > 0).double()  # dropout of 1/2 as the test feeds it
        return self.fc2(h * mask[REAL])


class Block(nn.Module):
    """A residual block under torchvision's names."""

    def __init__(self, inputs, width, stride, expansion):
        super().__init__()
        if expansion == 1:
            sizes = [(inputs, width, 3, stride), (width, width, 3, 1)]
        else:
            sizes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        for i, (n, m, kernel, step) in enumerate(sizes):
            self.add_module(f"conv{i + 1}", nn.Conv2d(n, m, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(m))
        self.count = len(sizes)
        outputs = width * expansion
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        h = x
        for i in range(1, self.count + 1):
            h = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(h))
            h = F.relu(h) if i < self.count else h
        return F.relu(h + (self.downsample(x) if hasattr(self, "downsample") else x))


class Resnet(nn.Module):
    def __init__(self, layers, width, expansion, is_large, classes):
        super().__init__()
        kernel, stride = (7, 2) if is_large else (3, 1)
        self.conv1 = nn.Conv2d(3, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, 2, 1) if is_large else nn.Identity()
        channels = width
        self.stages = len(layers)
        for stage, count in enumerate(layers):
            blocks = []
            for i in range(count):
                size = width * 2**stage
                blocks.append(Block(channels, size, 2 if stage > 0 and i == 0 else 1, expansion))
                channels = size * expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        h = self.pool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            h = getattr(self, f"layer{stage + 1}")(h)
        return self.fc(h.mean((2, 3)))


class Minicluster(nn.Module):
    """The transformer workload."""

    def __init__(self, width, heads, feed_forward):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(width, feed_forward), nn.ReLU(), nn.Linear(feed_forward, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        x = self.norm1(x + self.attn(x, x, x, need_weights=False)[0])
        return self.head(self.norm2(x + self.ffn(x)).mean(1))


class Bag(nn.Module):
    """The embedding workload."""

    def __init__(self, count, width, hidden, classes):
        super().__init__()
        self.embedding = nn.EmbeddingBag(count, width, mode="mean")
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, classes)

    def forward(self, ids):
        return self.fc2(F.relu(self.fc1(self.embedding(ids))))


class Transformer(nn.Module):
    """BERT (norms behind the sums) or GPT-2 (before them) around PyTorch's own encoder."""

    def __init__(self, vocabulary, positions, layers, width, heads, classes, kind):
        super().__init__()
        self.kind = kind
        is_bert = kind == "bert"
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(positions, width)
        activation = F.gelu if is_bert else lambda x: F.gelu(x, approximate="tanh")
        epsilon = 1e-12 if is_bert else 1e-5
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, 0.0, activation, epsilon, batch_first=True, norm_first=not is_bert
        )
        self.blocks = nn.TransformerEncoder(layer, layers)
        self.norm = nn.LayerNorm(width, epsilon)
        if is_bert:
            self.types = nn.Embedding(2, width)
            self.pooler = nn.Linear(width, width)
        self.head = nn.Linear(width, classes, bias=kind != "gpt")

    def forward(self, ids):
        length = ids.shape[1]
        h = self.words(ids) + self.places(torch.arange(length))
        if self.kind == "bert":
            h = self.blocks(self.norm(h + self.types(torch.zeros_like(ids))))
            return self.head(torch.tanh(self.pooler(h[:, 0])))
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        h = self.norm(self.blocks(h, future))
        return self.head(h if self.kind == "gpt" else h[:, -1])


def joined(names, transposed=False):
    return lambda p: torch.cat([p[name].T if transposed else p[name] for name in names])


def transposed(name):
    return lambda p: p[name].T


def bert_tensors(layers):
    """Parameters as Hugging Face names them, as the tensors of `Transformer`."""
    prefix = "bert.embeddings."
    tensors = {
        "words.weight": lambda p: p[prefix + "word_embeddings.weight"],
        "places.weight": lambda p: p[prefix + "position_embeddings.weight"],
        "types.weight": lambda p: p[prefix + "token_type_embeddings.weight"],
        "norm.weight": lambda p: p[prefix + "LayerNorm.weight"],
        "norm.bias": lambda p: p[prefix + "LayerNorm.bias"],
    }
    for i in range(layers):
        ours, theirs = f"bert.encoder.layer.{i}.", f"blocks.layers.{i}."
        for kind in ("weight", "bias"):
            parts = [f"{ours}attention.self.{part}.{kind}" for part in ("query", "key", "value")]
            tensors[f"{theirs}self_attn.in_proj_{kind}"] = joined(parts)
            for mine, other in [
                ("attention.output.dense", "self_attn.out_proj"),
                ("attention.output.LayerNorm", "norm1"),
                ("intermediate.dense", "linear1"),
                ("output.dense", "linear2"),
                ("output.LayerNorm", "norm2"),
            ]:
                tensors[f"{theirs}{other}.{kind}"] = lambda p, name=f"{ours}{mine}.{kind}": p[name]
    for kind in ("weight", "bias"):
        tensors[f"pooler.{kind}"] = lambda p, kind=kind: p[f"bert.pooler.dense.{kind}"]
        tensors[f"head.{kind}"] = lambda p, kind=kind: p[f"classifier.{kind}"]
    return tensors


def gpt_tensors(layers, head):
    """The same for GPT-2, whose weights are [in, out]."""
    tensors = {
        "words.weight": lambda p: p["transformer.wte.weight"],
        "places.weight": lambda p: p["transformer.wpe.weight"],
        "norm.weight": lambda p: p["transformer.ln_f.weight"],
        "norm.bias": lambda p: p["transformer.ln_f.bias"],
        "head.weight": lambda p: p[head + ".weight"],
    }
    if head == "classifier":
        tensors["head.bias"] = lambda p: p["classifier.bias"]
    for i in range(layers):
        ours, theirs = f"transformer.h.{i}.", f"blocks.layers.{i}."
        tensors[theirs + "self_attn.in_proj_weight"] = transposed(ours + "attn.c_attn.weight")
        tensors[theirs + "self_attn.in_proj_bias"] = lambda p, name=ours + "attn.c_attn.bias": p[name]
        for mine, other in [("attn.c_proj", "self_attn.out_proj"), ("mlp.c_fc", "linear1"), ("mlp.c_proj", "linear2")]:
            tensors[f"{theirs}{other}.weight"] = transposed(f"{ours}{mine}.weight")
            tensors[f"{theirs}{other}.bias"] = lambda p, name=f"{ours}{mine}.bias": p[name]
        for mine, other in [("ln_1", "norm1"), ("ln_2", "norm2")]:
            for kind in ("weight", "bias"):
                tensors[f"{theirs}{other}.{kind}"] = lambda p, name=f"{ours}{mine}.{kind}": p[name]
    return tensors


def bert_shapes(vocabulary, positions, layers, width, classes):
    shapes = {
        "bert.embeddings.word_embeddings.weight": [vocabulary, width],
        "bert.embeddings.position_embeddings.weight": [positions, width],
        "bert.embeddings.token_type_embeddings.weight": [2, width],
        "bert.embeddings.LayerNorm.weight": [width],
        "bert.embeddings.LayerNorm.bias": [width],
    }
    for i in range(layers):
        prefix = f"bert.encoder.layer.{i}."
        for name, inputs, outputs in [
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", width, 4 * width),
            ("output.dense", 4 * width, width),
        ]:
            shapes[f"{prefix}{name}.weight"] = [outputs, inputs]
            shapes[f"{prefix}{name}.bias"] = [outputs]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{prefix}{name}.weight"] = shapes[f"{prefix}{name}.bias"] = [width]
    shapes["bert.pooler.dense.weight"], shapes["bert.pooler.dense.bias"] = [width, width], [width]
    shapes["classifier.weight"], shapes["classifier.bias"] = [classes, width], [classes]
    return shapes


def gpt_shapes(vocabulary, positions, layers, width, head):
    shapes = {"transformer.wte.weight": [vocabulary, width], "transformer.wpe.weight": [positions, width]}
    for i in range(layers):
        prefix = f"transformer.h.{i}."
        for name, inputs, outputs in [
            ("attn.c_attn", width, 3 * width),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, 4 * width),
            ("mlp.c_proj", 4 * width, width),
        ]:
            shapes[f"{prefix}{name}.weight"], shapes[f"{prefix}{name}.bias"] = [inputs, outputs], [outputs]
        for name in ("ln_1", "ln_2"):
            shapes[f"{prefix}{name}.weight"] = shapes[f"{prefix}{name}.bias"] = [width]
    shapes["transformer.ln_f.weight"] = shapes["transformer.ln_f.bias"] = [width]
    return {**shapes, **head}


def classification(logits, labels):
    return F.cross_entropy(logits, labels, reduction="sum")


def squares(predictions, targets):
    return ((predictions - targets) ** 2).mean(1).sum()


def next_tokens(logits, labels):
    """Per sample the mean over positions; a label equal to the number of classes is ignored."""
    classes = logits.shape[-1]
    lost = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=classes)
    return (lost / labels.shape[1]).sum()


def record(name, module, x, y, loss_of, shapes, tensors):
    """One training step's loss and gradients; of a running statistic, samples * (value - observed)."""
    values = {key: weights_of(key, shape) for key, shape in shapes.items()}
    parameters = {key: value.requires_grad_() for key, value in values.items() if "running" not in key}
    parameters.update({key: value for key, value in values.items() if "running" in key})
    state = {key: make(parameters) for key, make in tensors.items()}
    running = {key: value.clone() for key, value in state.items() if "running" in key}
    trained = set(dict(module.named_parameters()))
    missing = trained - set(state)
    assert not missing, f"{name}: nothing says what {missing} are"
    state.update({key: running[key] for key in running})
    module.train()
    logits = functional_call(module, state, x[REAL])
    loss = loss_of(logits, y[REAL])
    loss.backward()
    gradients = {key: value.grad for key, value in parameters.items() if value.requires_grad}
    for key in running:
        observed = values[key] + (running[key] - values[key]) / MOMENTUM
        gradients[key] = len(REAL) * (values[key] - observed)
    return {
        "name": name,
        "loss": float(loss),
        "gradients": {
            key: {"norm": float(f"{value.norm():.9g}"), "first": numbers(value.flatten()[:3])}
            for key, value in gradients.items()
        },
    }


def plain(name, module, x, y, loss_of):
    """A module whose tensors have our names."""
    names = [key for key in module.state_dict() if not key.endswith("num_batches_tracked")]
    shapes = {name: list(module.state_dict()[name].shape) for name in names}
    return record(name, module, x, y, loss_of, shapes, same(names))


def learn(name, module, batch_of, loss_of, shapes, tensors):
    """The mean loss of each of 50 steps of Adam, from the same weights as ever."""
    parameters = {key: weights_of(key, shape).requires_grad_() for key, shape in shapes.items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=LEARNING_RATE)
    losses = []
    for step in range(STEPS):
        x, y = batch_of(step)
        optimizer.zero_grad()
        loss = loss_of(functional_call(module, {key: make(parameters) for key, make in tensors.items()}, x), y)
        (loss / len(x)).backward()
        optimizer.step()
        losses.append(float(f"{float(loss) / len(x):.7g}"))
    return {"name": name, "learningRate": LEARNING_RATE, "losses": losses}


def pictures(step):
    """Noise over a picture of the class."""
    labels = (torch.arange(LEARN_BATCH) + step) % 5
    noise = pattern([LEARN_BATCH, 3, 10, 10], 1000 + step)
    classes = torch.stack([pattern([3, 10, 10], int(label)) for label in labels])
    return (0.25 * noise + 0.75 * classes).float().double(), labels


def sentences(step):
    """Each token follows from the one before it and its place."""
    first = (torch.arange(LEARN_BATCH) * 3 + step * 5) % 11
    place = torch.arange(7)
    text = (first[:, None] + place * (place + 1) // 2) % 11
    return text[:, :-1], text[:, 1:]


def learned():
    cnn = SimpleCnn(4, 16, 5)
    cnn.rate = 0
    names = list(cnn.state_dict())
    cnn_shapes = {name: list(value.shape) for name, value in cnn.state_dict().items()}
    gpt = Transformer(11, 6, 2, 8, 2, 11, "gpt")
    return [
        learn("simple_cnn", cnn, pictures, classification, cnn_shapes, same(names)),
        learn("gpt tied", gpt, sentences, next_tokens, gpt_shapes(11, 6, 2, 8, {}), gpt_tensors(2, "transformer.wte")),
    ]


def main():
    labels = integers(BATCH, 3, 5)
    image = lambda size, salt: pattern([BATCH, 3, size, size], salt).float().double()
    sequence = pattern([BATCH, 5, 8], 52).float().double()
    ids = tokens(6, 11)
    following = integers(BATCH * 6, 5, 12).reshape(BATCH, 6)  # 11 is ignored
    bert = Transformer(13, 9, 2, 8, 2, 5, "bert")
    gpt2 = Transformer(13, 9, 2, 8, 2, 5, "gpt2")
    gpt = Transformer(11, 6, 2, 8, 2, 11, "gpt")
    head = {"classifier.weight": [5, 8], "classifier.bias": [5]}
    models = [
        plain("simple_cnn", SimpleCnn(4, 16, 5), image(10, 50), labels, classification),
        plain("resnet18", Resnet([1, 1], 4, 1, False, 5), image(8, 50), labels, classification),
        plain("resnet50", Resnet([1, 1], 4, 4, True, 5), image(20, 50), labels, classification),
        plain("transformer", Minicluster(8, 2, 12), sequence, pattern([BATCH, 1], 51).float().double(), squares),
        plain("embedding", Bag(11, 8, 12, 5), ids, labels, classification),
        record("bert", bert, ids, labels, classification, bert_shapes(13, 9, 2, 8, 5), bert_tensors(2)),
        record("gpt2", gpt2, ids, labels, classification, gpt_shapes(13, 9, 2, 8, head), gpt_tensors(2, "classifier")),
        record(
            "gpt",
            gpt,
            ids,
            following,
            next_tokens,
            gpt_shapes(11, 6, 2, 8, {"lm_head.weight": [11, 8]}),
            gpt_tensors(2, "lm_head"),
        ),
        record(
            "gpt tied",
            gpt,
            ids,
            following,
            next_tokens,
            gpt_shapes(11, 6, 2, 8, {}),
            gpt_tensors(2, "transformer.wte"),
        ),
    ]
    with open(OUT, "w", encoding="utf-8") as file:
        json.dump({"torch": torch.__version__, "models": models, "learned": learned()}, file, separators=(",", ":"))
        file.write("\n")
    print(f"{len(models)} models -> {OUT}")


main()
