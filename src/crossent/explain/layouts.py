"""What the layout of a batch adds: a picture of a segmentation's losses, the alignment of a language model's labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MOST_CELLS = 64  # along each side of the picture
MOST_CLASSES = 8
SHIFTS = (-1, 0, 1, 2)
ENOUGH = 16  # labels, for a profile to say anything
CLEAR = 0.5  # nats between the best shift and the one that was passed; a bigram model shows 2.3 after 20 steps


@dataclass(frozen=True, slots=True)
class ClassShare:
    """What one class costs."""

    index: int
    name: str
    count: int
    mean: float
    share: float  # of the sum of all rows


@dataclass(frozen=True, slots=True)
class LossMap:
    """Losses of one image, averaged over the pixels of each cell; None where all of them are ignored."""

    image: int
    height: int
    width: int
    cells: tuple[tuple[float | None, ...], ...]
    high: float
    classes: tuple[ClassShare, ...]  # of the whole batch, the dearest first


@dataclass(frozen=True, slots=True)
class Profile:
    """The mean loss if the labels were the ones ``shift`` positions further on; 0 is the batch as it came."""

    losses: tuple[tuple[int, float], ...]
    best: int
    margin: float  # loss as it came, minus the best

    @property
    def code(self) -> str:
        """The doctor's rule for it: the labels were not shifted, or once too often."""
        return {1: "XEN601", -1: "XEN602"}.get(self.best, "XEN602") if self.is_off else ""

    @property
    def is_off(self) -> bool:
        return self.best != 0 and self.margin >= CLEAR


def loss_map(losses: Tensor, labels: Tensor, read: Tensor, names: tuple[str, ...], worst: bool) -> LossMap:
    """``losses``, ``labels`` and ``read`` are (N, H, W)."""
    means = (losses * read).sum((1, 2)) / read.sum((1, 2)).clamp(min=1)
    image = int(means.argmax()) if worst else 0
    height, width = losses.shape[1:]
    size = (min(MOST_CELLS, height), min(MOST_CELLS, width))
    pooled = torch.nn.functional.adaptive_avg_pool2d(
        torch.stack([losses[image] * read[image], read[image].double()]).unsqueeze(0), size
    )[0]
    counted = pooled[1] > 0
    cells = torch.where(counted, pooled[0] / pooled[1].clamp(min=1e-12), torch.nan)
    return LossMap(
        image=image,
        height=height,
        width=width,
        cells=tuple(tuple(None if value != value else value for value in _floats(row)) for row in cells),
        high=float(cells[counted].max()) if bool(counted.any()) else 0.0,
        classes=_classes(losses[read], labels[read], names),
    )


def _classes(losses: Tensor, labels: Tensor, names: tuple[str, ...]) -> tuple[ClassShare, ...]:
    if not labels.numel():
        return ()
    counts = torch.bincount(labels)
    sums = torch.zeros(len(counts), dtype=torch.float64).scatter_add_(0, labels, losses)
    total = max(float(sums.sum()), 1e-300)
    order = [int(c) for c in sums.argsort(descending=True) if counts[c]]
    return tuple(
        ClassShare(
            c, str(names[c]) if c < len(names) else str(c), int(counts[c]), float(sums[c] / counts[c]),
            float(sums[c]) / total,
        )
        for c in order[:MOST_CLASSES]
    )  # fmt: skip


def profile(log_probs: Tensor, labels: Tensor, ignore_index: int) -> Profile | None:
    """``log_probs`` is (B, T, V), ``labels`` (B, T); None where there are too few labels to tell."""
    length = labels.shape[1]
    losses: list[tuple[int, float]] = []
    for shift in SHIFTS:
        start, stop = max(0, -shift), min(length, length - shift)
        if stop <= start:
            return None
        wanted = labels[:, start + shift : stop + shift]
        read = wanted != ignore_index
        if int(read.sum()) < ENOUGH:
            return None
        picked = log_probs[:, start:stop].gather(2, torch.where(read, wanted, 0).unsqueeze(2)).squeeze(2)
        losses.append((shift, -float(picked[read].mean())))
    best = min(losses, key=lambda pair: pair[1])
    return Profile(tuple(losses), best[0], dict(losses)[0] - best[1])


def _floats(row: Tensor) -> list[float]:
    return [float(value) for value in row]
