"""What the four common mistakes would give on this batch: a table that teaches, and a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong way to compute the loss, with what it gives."""

    key: str  # the words for it: words.MISTAKES
    formula: str
    code: str  # the doctor's rule
    value: float
    is_seen: bool  # equals the loss that the user sees


def table(z: Tensor, labels: Tensor | None, options: dict[str, Any], right: float, seen: float | None) -> list[Mistake]:
    """The right value first; empty for probability targets. ``options`` are torch's, for a loss of one number."""
    if labels is None:
        return []
    with torch.no_grad():
        values = {
            "right": ("cross_entropy(logits, target)", "", right),
            "softmax": (
                "cross_entropy(softmax(logits), target)", "XEN101",
                float(F.cross_entropy(z.softmax(1), labels, **options)),
            ),
            "probabilities": (
                "nll_loss(softmax(logits), target)", "XEN103",
                float(F.nll_loss(z.softmax(1), labels, **options)),
            ),
            "logits": (
                "nll_loss(logits, target)", "XEN104", float(F.nll_loss(z, labels, **options)),
            ),
            "dim": (
                "nll_loss(log_softmax(logits, dim=0), target)", "XEN107",
                float(F.nll_loss(z.log_softmax(0), labels, **options)),
            ),
        }  # fmt: skip
    return [Mistake(key, formula, code, value, _equals(value, seen)) for key, (formula, code, value) in values.items()]


def _equals(value: float, seen: float | None) -> bool:
    """Within what a printed number of four digits allows."""
    return seen is not None and abs(value - seen) <= 6e-4 * max(1.0, abs(value))
