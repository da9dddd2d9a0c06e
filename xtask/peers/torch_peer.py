"""PyTorch's side of the workloads in crates/jaxnet-examples/src/workloads.

A second argument `compile` compiles what can be.
"""

import math
import sys

import torch
from torch import nn

from protocol import serve

COMPILE = sys.argv[2:] == ["compile"]


def training(loss, optimizer):
    """One step: `loss()` gives the loss of the batch."""

    apply = optimizer.step
    if COMPILE:
        loss, apply = torch.compile(loss), torch.compile(apply)

    def step():
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        apply()

    return step


def mlp():
    net = nn.Sequential(
        nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
    )
    images, labels = torch.rand(128, 784), torch.randint(10, (128,))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    return training(lambda: nn.functional.cross_entropy(net(images), labels), optimizer)


def mlp_loop():
    """As many steps in Python: PyTorch has no loop of its own."""
    step = mlp()

    def epoch():
        for _ in range(62):
            step()

    return epoch


def vae():
    trunk = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU())
    mean_of, variance_of = nn.Linear(512, 10), nn.Sequential(nn.Linear(512, 10), nn.Softplus())
    decoder = nn.Sequential(
        nn.Linear(10, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 784)
    )
    parts = nn.ModuleList([trunk, mean_of, variance_of, decoder])
    images = torch.rand(32, 784) < 0.3

    def loss():
        hidden = trunk(images.float())
        mean, variance = mean_of(hidden), variance_of(hidden)
        latent = mean + variance.sqrt() * torch.randn_like(mean)
        logits = decoder(latent)
        reconstruction = nn.functional.softplus(torch.where(images, -1.0, 1.0) * logits).sum()
        divergence = -0.5 * (1 + variance.log() - mean**2 - variance).sum()
        return (reconstruction + divergence) / len(images)

    return training(loss, torch.optim.SGD(parts.parameters(), lr=1e-3, momentum=0.9))


def convnet():
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12 * 12 * 64, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    images, labels = torch.rand(128, 1, 28, 28), torch.randint(10, (128,))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    return training(lambda: nn.functional.cross_entropy(net(images), labels), optimizer)


def gru():
    layers, dense = nn.GRU(128, 200, num_layers=3, batch_first=True), nn.Linear(200, 26)
    inputs, labels = torch.rand(10, 14, 128), torch.randint(26, (10, 14))
    optimizer = torch.optim.RMSprop(nn.ModuleList([layers, dense]).parameters(), lr=1e-3, alpha=0.9)

    def loss():
        return nn.functional.cross_entropy(dense(layers(inputs)[0]).flatten(0, 1), labels.flatten())

    return training(loss, optimizer)


def wavenet():
    dilations, channels, skip, mixtures, outputs = [2**i for i in range(10)] * 2, 32, 512, 10, 1000
    seen = sum(dilations) + 2
    first = nn.Conv1d(1, channels, 2)
    gates = nn.ModuleList([nn.Conv1d(channels, 2 * channels, 2, dilation=d) for d in dilations])
    residuals = nn.ModuleList([nn.Conv1d(channels, channels, 1) for _ in dilations[:-1]])
    skips = nn.ModuleList([nn.Conv1d(channels, skip, 1) for _ in dilations])
    last = nn.Sequential(nn.ReLU(), nn.Conv1d(skip, skip, 1), nn.ReLU(), nn.Conv1d(skip, 3 * mixtures, 1))
    parts = nn.ModuleList([first, gates, residuals, skips, last])
    piece = torch.rand(1, 1, seen + outputs) * 2 - 1

    def loss():
        hidden, out = first(piece[..., :-1]), 0
        for i, dilation in enumerate(dilations):
            a, b = gates[i](hidden).chunk(2, 1)
            units = torch.tanh(a) * torch.sigmoid(b)
            if i < len(residuals):
                hidden = residuals[i](units) + hidden[..., dilation:]
            out = out + skips[i](units[..., -outputs:])
        return logistic_mixture(*last(out).chunk(3, 1), piece[..., seen:])

    return training(loss, torch.optim.Adam(parts.parameters(), lr=1e-3))


def logistic_mixture(logits, means, scales, x, levels=65536):
    softplus = nn.functional.softplus
    scales = scales.clamp(min=-7.0)
    centered, inverse, half = x - means, torch.exp(-scales), 1 / (levels - 1)
    above, below, middle = inverse * (centered + half), inverse * (centered - half), inverse * centered
    share = torch.sigmoid(above) - torch.sigmoid(below)
    density = middle - scales - 2 * softplus(middle) - math.log((levels - 1) / 2)
    inside = torch.where(share > 1e-5, share.clamp(min=1e-12).log(), density)
    low, high = above - softplus(above), -softplus(below)
    log = torch.where(x < -0.999, low, torch.where(x > 0.999, high, inside))
    return -torch.logsumexp(log + torch.log_softmax(logits, 1), 1).mean()


class Normalized(nn.Module):
    """A convolution and the normalization of its result."""

    def __init__(self, inputs, outputs, size, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.conv(x))


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, first):
        super().__init__()
        self.body = nn.Sequential(
            Normalized(inputs, width, 1),
            nn.ReLU(inplace=True),
            Normalized(width, width, 3, stride),
            nn.ReLU(inplace=True),
            Normalized(width, 4 * width, 1),
        )
        self.shortcut = Normalized(inputs, 4 * width, 1, stride) if first else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet50():
    layers, inputs = [Normalized(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            layers.append(Bottleneck(inputs, width, stride, block == 0))
            inputs = 4 * width
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))
    images, labels = torch.rand(8, 3, 224, 224), torch.randint(1000, (8,))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    return training(lambda: nn.functional.cross_entropy(net(images), labels), optimizer)


def elementwise():
    x = torch.rand(10_000_000)

    def chain(x):
        return torch.sin(x) * torch.exp(-x) + x * x - 0.5

    if COMPILE:
        chain = torch.compile(chain)

    @torch.no_grad()
    def step():
        chain(x)

    return step


def dispatch_eager():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])

    @torch.no_grad()
    def step():
        for _ in range(1000):
            x + 1.0

    return step


torch.manual_seed(0)
WORKLOADS = [mlp, mlp_loop, vae, convnet, gru, wavenet, resnet50, elementwise, dispatch_eager]
serve(torch.__version__, {workload.__name__: workload for workload in WORKLOADS})
