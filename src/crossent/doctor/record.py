"""One call of a loss, with what the rules ask of it: each fact is found once, when a rule first asks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossent.doctor import graph, sample
from crossent.doctor.finding import Place

# Measured: how far the rows of a softmax or log_softmax of this dtype are from 1 and from 0, times about ten.
SUM_TOLERANCE = {torch.bfloat16: 1e-2, torch.float16: 2e-3}
LSE_TOLERANCE = {torch.bfloat16: 6e-2, torch.float16: 1e-2}
HALF = (torch.bfloat16, torch.float16)
MOST_SUMMED = 1 << 17  # a sum along every dimension, only where the graph says nothing
MOST_PLACES = 4096
ENOUGH_VALUES = 32  # below, a row of raw logits may look like probabilities by chance


@dataclass(frozen=True, slots=True)
class Embedded:
    """Token ids that the model looked up before this loss."""

    ids: Tensor  # (B, T)
    rows: int  # size of the table
    padding_idx: int | None


@dataclass(frozen=True, slots=True)
class Resized:
    """Whole numbers that ``F.interpolate`` has turned into fractions: a few of them, by their place in the result."""

    size: int  # numbers in the whole result
    places: Tensor
    values: Tensor

    @classmethod
    def of(cls, before: Tensor, after: Tensor) -> Resized | None:
        old, new = (_some(tensor) for tensor in (before, after))
        was_whole, has_fractions = bool((old[1] == old[1].round()).all()), bool((new[1] != new[1].round()).any())
        return cls(after.numel(), *new) if was_whole and has_fractions else None


def _some(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Evenly spaced numbers of a tensor, with their places in it."""
    places = torch.linspace(0, max(0, tensor.numel() - 1), min(tensor.numel(), MOST_PLACES), dtype=torch.float64).long()
    return places, tensor.reshape(-1)[places]


class Labels(NamedTuple):
    """The labels of one call."""

    valid: int
    low: int
    high: int

    @property
    def is_one_class(self) -> bool:
        return self.low == self.high


@dataclass(eq=False)
class CallRecord:
    """A call: torch's names, the tensors as the user passed them."""

    function: str
    input: Tensor  # of the linear functions: zeros of the logits' shape, without memory
    target: Tensor | None = None
    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0
    log_target: bool = False
    class_dim_given: int | None = None
    result: Tensor | None = None
    place: Place = field(default_factory=Place)
    index: int = 0  # how often this line has called before
    grad_enabled: bool = True
    model: torch.nn.Module | None = None  # the one that is watched, where it was named
    is_watched: bool = False  # seen as it happened, not asked about afterwards
    up_to_constant: bool = False  # the rows are not the logits: read from a graph, but for a constant; or never made
    blind: str | None = None  # why values must not be read
    error: Exception | None = None
    embedded: tuple[Embedded, ...] = ()
    resized: tuple[Resized, ...] = ()
    known: frozenset[str] = frozenset()  # codes that were found at this line before
    earlier: tuple[Labels, ...] = ()  # of the watched calls of this line before this one
    flags: tuple[Any, ...] = ()  # size_average and reduce, as they came
    hidden: Tensor | None = None  # of the linear functions: what the user passed
    shift: int = 0  # crossent's option: the label of position t is entry t + shift of the target

    @property
    def source(self) -> Tensor:
        """What the user passed: the input, or the hidden states whose logits are never made."""
        return self.input if self.hidden is None else self.hidden

    @cached_property
    def chain(self) -> graph.Chain:
        """How the input came about."""
        return graph.chain_of(self.source)

    @cached_property
    def target_chain(self) -> graph.Chain:
        return graph.chain_of(self.target)

    @property
    def is_row_loss(self) -> bool:
        """Whether torch reads the classes from dim 1, and class indices are a target."""
        return self.function in ("cross_entropy", "nll_loss", "linear_cross_entropy", "linear_log_prob")

    @cached_property
    def class_dim(self) -> int:
        """Where the loss reads the classes."""
        if self.class_dim_given is not None:
            return self.class_dim_given % max(1, self.input.dim())
        if self.is_row_loss:
            return 1 if self.input.dim() > 1 else 0
        if self.function == "kl_div" and self.input.dim() > 2:  # which dimension, only the softmax before it knows
            dim = self.chain.softmax_dim if self.chain.softmax_dim is not None else self.target_chain.softmax_dim
            if dim is not None:
                return dim % self.input.dim()
        return self.input.dim() - 1 if self.input.dim() else 0

    @property
    def classes(self) -> int:
        return int(self.input.shape[self.class_dim]) if self.input.dim() else 1

    @property
    def row_count(self) -> int:
        return self.input.numel() // max(1, self.classes)

    @property
    def dtype(self) -> str:
        return str(self.input.dtype).removeprefix("torch.")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.input.shape)

    @property
    def floor(self) -> float:
        """The lowest loss that probabilities in place of logits can reach: log(1 + (C - 1)/e)."""
        return math.log1p((self.classes - 1) / math.e)

    @cached_property
    def has_index_target(self) -> bool:
        return self.target is not None and not self.target.is_floating_point()

    # ---- values --------------------------------------------------------------------------------

    @cached_property
    def sample(self) -> sample.Sample | None:
        """Rows of this call, or None where values cannot be read."""
        if self.blind is not None or not self.input.is_floating_point() or self.input.numel() == 0:
            return None
        if self.input.dim() == 0:
            return None
        result, unmade = self.result, self.hidden is not None
        return sample.take(self.input, self.target, self.class_dim, self.ignore_index, result, looks_for_nan=unmade)

    @property
    def knows_values(self) -> bool:
        """Whether the sampled rows are the input itself, and not only its log_softmax."""
        return self.sample is not None and not self.up_to_constant

    @property
    def loss(self) -> float | None:
        """The loss, where it is one number."""
        return None if self.sample is None else self.sample.result

    @property
    def valid_count(self) -> int | None:
        """How many targets are not ignored, where all were counted."""
        counted = None if self.sample is None else self.sample.counted
        return counted.valid if counted is not None and counted.is_exact else None

    @property
    def labels(self) -> Labels | None:
        """Count and range of the valid labels, where all were looked at and there are some."""
        counted = None if self.sample is None else self.sample.counted
        if counted is None or not counted.is_exact or not counted.valid:
            return None
        return Labels(counted.valid, counted.low, counted.high)

    @cached_property
    def rows(self) -> Tensor:
        """Sampled rows; empty where values cannot be read."""
        return torch.empty(0, 1, device="cpu") if self.sample is None else self.sample.rows

    @cached_property
    def sums(self) -> Tensor:
        return self.rows.sum(1)

    @cached_property
    def lses(self) -> Tensor:
        return self.rows.logsumexp(1)

    @cached_property
    def _range(self) -> tuple[float, float]:
        low, high = torch.aminmax(self.rows) if self.rows.numel() else (math.nan, math.nan)
        return float(low), float(high)

    @property
    def low(self) -> float:
        return self._range[0]

    @property
    def high(self) -> float:
        return self._range[1]

    @cached_property
    def sum_tolerance(self) -> float:
        return SUM_TOLERANCE.get(self.input.dtype, 1e-5)

    @cached_property
    def lse_tolerance(self) -> float:
        return LSE_TOLERANCE.get(self.input.dtype, 1e-4)

    @property
    def has_enough_values(self) -> bool:
        return self.input.numel() >= ENOUGH_VALUES

    @cached_property
    def sums_to_one(self) -> bool:
        """Whether the rows are probabilities, by their values."""
        return self.in_unit_range and bool((self.sums - 1).abs().max() <= self.sum_tolerance)

    @cached_property
    def in_unit_range(self) -> bool:
        return (
            self.rows.numel() > 0 and not self.up_to_constant and self.low >= 0 and self.high <= 1 + self.sum_tolerance
        )

    @cached_property
    def is_whole_numbers(self) -> bool:
        """Whether the rows look like decisions: argmax, round, a threshold."""
        return self.rows.numel() > 0 and not self.up_to_constant and bool((self.rows == self.rows.round()).all())

    @cached_property
    def is_normalised_log(self) -> bool:
        """Whether the rows are log-probabilities, by their values."""
        return self.rows.numel() > 0 and not self.up_to_constant and bool(self.lses.abs().max() <= self.lse_tolerance)

    @cached_property
    def unread_dim(self) -> int | None:
        """A dimension other than the classes' along which exp(input) or the input sums to 1; None if there is none."""
        if self.blind is not None or self.input.numel() > MOST_SUMMED or self.input.dim() < 2:
            return None
        with torch.no_grad():
            for dim in range(self.input.dim()):
                values = self.input.detach()
                if dim == self.class_dim or values.shape[dim] == 1:
                    continue
                values = values.exp() if self.function != "cross_entropy" else values
                if bool((values.sum(dim) - 1).abs().max() <= max(self.sum_tolerance, self.lse_tolerance)):
                    return dim
        return None
