"""Cross entropy loss is log_softmax followed by nll_loss: one batch, counted out in every way."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

import crossent


class Way(NamedTuple):
    """One way to write a loss, and the number it gives."""

    text: str
    value: float
    is_cross_entropy: bool = True


def ways(logits: Tensor, labels: Tensor, backend: str) -> list[Way]:
    """``logits (N, C)`` straight from a model, ``labels (N)``. The last one is the classic mistake."""
    z, y = logits.detach(), labels
    rows = torch.arange(len(y))
    by_hand = (z.logsumexp(1) - z[rows, y]).mean()
    log_probs = crossent.log_softmax(z, dim=1, backend=backend)
    return [
        Way("mean(logsumexp(z) - z[y]), by hand", by_hand.item()),
        Way("torch CrossEntropyLoss()(z, y)", torch.nn.CrossEntropyLoss()(z, y).item()),
        Way("torch nll_loss(log_softmax(z), y)", F.nll_loss(F.log_softmax(z, dim=1), y).item()),
        Way("crossent CrossEntropyLoss()(z, y)", crossent.CrossEntropyLoss(backend=backend)(z, y).item()),
        Way("crossent nll_loss(log_softmax(z), y)", crossent.nll_loss(log_probs, y, backend=backend).item()),
        Way("nll_loss(softmax(z), y): a mistake", F.nll_loss(z.softmax(1), y).item(), is_cross_entropy=False),
    ]
