"""What rules look at beside a call: a backward, an accumulation, a batch, a cross-check, a trial of overfitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True)
class PastLoss:
    """What is kept of a loss until ``backward()`` or the optimizer's step: numbers, no tensor."""

    value: float
    place: str
    grad_enabled: bool
    has_graph: bool
    is_of_a_leaf: bool  # its input requires a gradient and was not computed from anything
    count: int | None = None  # of valid targets
    codes: tuple[str, ...] = ()  # what was found at the call
    is_of_decisions: bool = False  # its input has no graph and holds whole numbers


@dataclass(frozen=True, slots=True)
class Unreduced:
    """What is kept of losses that are not reduced."""

    place: str
    total: int
    valid: int  # those whose target is not ignored


@dataclass(frozen=True, slots=True)
class Backward:
    """``backward()`` is about to run on ``root``."""

    root: Tensor
    losses_before: tuple[PastLoss, ...] = ()  # those computed since the last backward
    unreduced: tuple[Unreduced, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """An optimizer has made a step after a watched ``backward()``."""

    has_gradients: bool  # whether any of its parameters has one
    losses: tuple[PastLoss, ...]  # those that went backward since the last step


@dataclass(frozen=True, slots=True)
class Accumulation:
    """Means of several batches, and how many targets each stands for."""

    losses: tuple[float, ...]
    counts: tuple[float, ...]
    is_watched: bool = False

    @property
    def plain_mean(self) -> float:
        return sum(self.losses) / len(self.losses)

    @property
    def true_mean(self) -> float:
        return sum(loss * n for loss, n in zip(self.losses, self.counts, strict=True)) / sum(self.counts)


@dataclass(frozen=True, slots=True)
class Batch:
    """A language model's batch, as a collator makes it."""

    input_ids: Tensor | None
    labels: Tensor | None
    attention_mask: Tensor | None
    position_ids: Tensor | None
    prompt_mask: Tensor | None  # True on prompt positions
    logits: Tensor | None
    ignore_index: int
    model_shifts: bool  # whether the model shifts the labels itself, as Hugging Face's do
    eos: int | None
    pad: int | None
    vocabulary: int | None  # len(tokenizer)
    has_chat_template: bool


@dataclass(frozen=True, slots=True)
class Crosscheck:
    """A loss function against the reference in float64."""

    ours: float
    reference: float
    cosine: float
    norm_ratio: float
    where: str
    value_agrees: bool
    gradient_agrees: bool
    ignored: int
    count: int
    without_ignored: Any = None  # Crosscheck | None: the same on the rows that are not ignored

    @property
    def agrees(self) -> bool:
        return self.value_agrees and self.gradient_agrees


@dataclass(frozen=True, slots=True)
class Overfit:
    """A copy of the model, trained on one batch."""

    steps: int
    first: float
    last: float
    classes: int
