"""1797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn: real data, and nothing to download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

TRAINING_ROWS = 1437  # four fifths


class Digits(NamedTuple):
    """Pixels in [0, 1], ``(N, 64)``, and labels 0 to 9."""

    train_pixels: Tensor
    train_labels: Tensor
    test_pixels: Tensor
    test_labels: Tensor


def load(seed: int) -> Digits:
    """The digits, shuffled, four fifths of them for training."""
    from sklearn.datasets import load_digits  # pyright: ignore[reportMissingTypeStubs]

    bunch = cast(Any, load_digits())
    order = torch.randperm(len(bunch.target), generator=torch.Generator().manual_seed(seed))
    pixels = torch.tensor(bunch.data, dtype=torch.float32)[order] / 16
    labels = torch.tensor(bunch.target, dtype=torch.int64)[order]
    return Digits(pixels[:TRAINING_ROWS], labels[:TRAINING_ROWS], pixels[TRAINING_ROWS:], labels[TRAINING_ROWS:])


def batches(digits: Digits, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch in a new order each, without end; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(digits.train_labels), generator=generator)
        for begin in range(0, len(order), size):
            rows = order[begin : begin + size]
            yield digits.train_pixels[rows], digits.train_labels[rows]
