"""PyTorch's side of the workloads in crates/jaxnet-examples/src/workloads.

A second argument `compile` compiles what can be.
"""

import sys

import torch
from torch import nn

from protocol import serve

COMPILE = sys.argv[2:] == ["compile"]


def mlp():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    images = torch.rand(128, 784)
    labels = torch.randint(10, (128,))

    def update():
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    if COMPILE:
        forward = torch.compile(lambda: nn.functional.cross_entropy(net(images), labels))
        apply = torch.compile(optimizer.step)

        def update():
            optimizer.zero_grad(set_to_none=True)
            loss = forward()
            loss.backward()
            apply()
            return loss

    return update


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


serve(torch.__version__, {"mlp": mlp, "elementwise": elementwise, "dispatch_eager": dispatch_eager})
