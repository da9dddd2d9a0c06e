"""PyTorch's side of the workloads in crates/jaxnet-examples/src/workloads.

A second argument `compile` compiles what can be.
"""

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
WORKLOADS = [mlp, vae, convnet, elementwise, dispatch_eager]
serve(torch.__version__, {workload.__name__: workload for workload in WORKLOADS})
