"""One training run: everything but the loss function is the same in both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from crossent.demo.digits import Digits, batches

SEED = 0
BATCH_ROWS = 64
HIDDEN = 64
LEARNING_RATE = 0.1

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Training:
    """What a run left behind."""

    losses: list[float] = field(default_factory=list[float])
    test_loss: float = 0.0
    right: int = 0
    test_rows: int = 0
    seconds: float = 0.0

    @property
    def accuracy(self) -> float:
        return self.right / self.test_rows


def new_model() -> nn.Module:
    """Two layers, always with the same weights."""
    torch.manual_seed(SEED)
    return nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))


def train(digits: Digits, loss_function: Loss, steps: int, after_step: Callable[[], None]) -> Training:
    """Stochastic gradient descent; the accuracy is taken on digits that were not trained on."""
    model, done = new_model(), Training()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)
    began = time.perf_counter()
    for _, (pixels, labels) in zip(range(steps), batches(digits, BATCH_ROWS, SEED), strict=False):
        loss = loss_function(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done.losses.append(loss.item())
        after_step()
    done.seconds = time.perf_counter() - began
    with torch.no_grad():
        logits = model(digits.test_pixels)
        done.test_loss = loss_function(logits, digits.test_labels).item()
        done.right = int((logits.argmax(1) == digits.test_labels).sum())
        done.test_rows = len(digits.test_labels)
    return done
