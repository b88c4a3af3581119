"""A stand-in for torchvision: made-up images and a small network, so that programs of others run without a download.

Only what the programs of ``programs.json`` ask for.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import torch
from torch import nn

ROWS = 128
__path__: list[str] = []  # a package: `import torchvision.transforms` is asked for


class Transform:
    """Any transform: only the size of a Resize or a crop is kept."""

    def __init__(self, *given: Any, **_: Any) -> None:
        parts = given[0] if given and isinstance(given[0], list) else []
        sizes = [part.size for part in parts if isinstance(part, Transform) and part.size]
        own = given[0] if given and isinstance(given[0], int) else None
        self.size: int | None = sizes[-1] if sizes else own


class Images(torch.utils.data.Dataset[Any]):
    """Noise and labels that go round."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(ROWS, *shape, generator=generator) * 2 - 1
        self.targets = torch.arange(ROWS) % classes
        self.data = ((self.images[:, 0] + 1) * 127).to(torch.uint8)

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], int(self.targets[index])


class MNIST(Images):
    def __init__(self, *_: Any, transform: Any = None, **__: Any) -> None:
        size = getattr(transform, "size", None) or 28
        super().__init__((1, size, size), 10)
        self.images = self.images.clamp(min=0) if size == 28 else self.images


class FakeData(Images):
    def __init__(self, _: int, shape: tuple[int, ...], classes: int, *__: Any) -> None:
        super().__init__((shape[0], 64, 64), classes)


class Network(nn.Module):
    """In the place of a ResNet: its first and last layer have their names."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.relu, self.avgpool = nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.avgpool(self.relu(self.conv1(x))).flatten(1))


def resnet18(**given: Any) -> Network:
    return Network(**given)


def nothing(*_: Any, **__: Any) -> None:
    """save_image, make_grid."""


class Transforms(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Transform


def _submodule(module: ModuleType, **names: Any) -> ModuleType:
    module.__dict__.update(names)
    sys.modules[module.__name__] = module
    return module


transforms = _submodule(Transforms("torchvision.transforms"))
datasets = _submodule(ModuleType("torchvision.datasets"), MNIST=MNIST, FakeData=FakeData)
models = _submodule(ModuleType("torchvision.models"), resnet18=resnet18)
utils = _submodule(ModuleType("torchvision.utils"), save_image=nothing, make_grid=nothing)
