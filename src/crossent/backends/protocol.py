"""What a backend is: a module with the functions below, and what each must return.

A backend sees rows, never losses. Reductions, denominators, smoothing, ignored labels and read-outs
were turned into the fields of a :class:`RowProblem` or are applied to the statistics afterwards
(``stats.py``). All row-shaped tensors are ``(outer, V, inner)`` views with any strides, all per-row
tensors ``(outer, inner)`` contiguous; ``(N, V)`` logits are ``(N, V, 1)``, ``(N, V, d1, d2)`` are
``(N, V, d1*d2)`` and class-last ``(B, T, V)`` are ``(B, V, T)`` with the class stride 1: no layout
needs a copy.

Functions of a backend module::

    name: str
    gradient_in_forward: bool                        whether row_loss_and_grad is worth calling in a forward pass
    supports(device, dtype) -> str | None            None: yes; else the reason why not
    empty(shape, dtype, device) -> Tensor            memory for a gradient or a result (uninitialised)
    count_rows(problem, row_weight) -> RowCount      rows that are read, and the sum of their shares
    row_stats(problem, *, tilt) -> RowStats
    row_read(problem) -> RowReading                  predicted class, rank of the target
    row_grad(problem, stats, coefficients, out, *, want) -> RowGrads
    row_loss_and_grad(problem, factor, row_factor, out) -> Tensor      one pass: see below
    log_softmax(rows, out) -> None
    log_softmax_grad(rows, log_probs, upstream, out, *, want_scale) -> Tensor | None
    multiply(gradient, factor) -> None               optional: gradient *= a 0-d tensor, for nothing where it is 1
    total_and_grad(problem, factor, row_factor, out) -> Tensor         optional: row_loss_and_grad that returns the 0-d
                                                     sum of row_factor * row losses, without memory for each of them

``row_grad`` writes d/d logits into ``out`` (``(outer, V, inner)``, any strides, the logits' dtype),
zeros where a row is not read. ``row_loss_and_grad`` returns the unscaled row losses
(``stats.row_loss``) and writes ``factor * row_factor[i] * d row_i / d logits`` into ``out`` in one
pass over each row; ``factor`` is a 0-d tensor, ``row_factor`` a per-row tensor or None for 1. In both, ``out`` may be
the logits themselves (a linear head overwrites its chunk of logits), not overlap them in another way.

Special values (every backend, each a case in ``tests/cases.py``)

=====================================  ============================  =============================
row                                    row loss                      gradient
=====================================  ============================  =============================
not read (``target == skip``)          0, whatever the logits hold   exactly 0
-inf logits beside finite ones         finite (q_c must be 0 there)  0 there
-inf on the target                     +inf                          finite: softmax - q
all -inf, any +inf, any NaN            NaN                           NaN in the whole row
off > 0 and a -inf logit               +inf (NaN where w_c = 0)      finite
q_c = 0 * -inf (p_c = 0, w_c = 0)      NaN                           finite
q_c = inf (p_c = inf, w_c = inf)       +inf; NaN where nothing but   softmax * inf - q: NaN there
                                       c has a probability
weight 0 on the target, finite logits  0                             0
target out of range, not on the CPU    NaN                           NaN in the whole row
N = 0 or inner = 0                     empty                         empty
=====================================  ============================  =============================

When ``off == 0`` and the target is an index, ``dot`` reads the target's term only (0 * -inf of the
other classes never enters). An infinite logit adds nothing to the gradient of ``logit_scale``.

On the CPU a target out of range raises :class:`TargetOutOfRange`. Elsewhere nothing is ever read back from
the device (:func:`on_host`), for a read waits until the device has done all that was asked of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from crossent.stats import GradCoefficients, RowStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Logits and the map ``z = softcap * tanh(logit_scale * logits / softcap)`` applied to them."""

    logits: Tensor  # (outer, V, inner), any strides, float16 | bfloat16 | float32 | float64
    logit_scale: float | Tensor = 1.0  # number, or (outer, inner) in the compute dtype
    softcap: float | None = None  # None: z = logit_scale * logits

    @property
    def classes(self) -> int:
        """V."""
        return self.logits.shape[1]

    @property
    def row_shape(self) -> tuple[int, int]:
        """(outer, inner)."""
        return (self.logits.shape[0], self.logits.shape[2])

    @property
    def compute_dtype(self) -> torch.dtype:
        """float64 for float64 logits, float32 for all others."""
        return compute_dtype(self.logits.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProblem(Rows):
    """Rows and what they are scored against: ``q`` of ``stats.py``."""

    target: Tensor  # (outer, inner) int64 class index, any strides | (outer, V, inner) probabilities, floating
    skip: int | None  # rows whose index target equals it are never read; None with probabilities
    class_weight: Tensor | None  # (V,) contiguous in the compute dtype, or None for ones
    on: float  # 1 - smoothing
    off: float  # smoothing / V
    z_loss: float = 0.0
    normalised: bool = False  # the logits are log-probabilities (nll_loss): max = log_sum = 0, nothing subtracted

    @property
    def is_index(self) -> bool:
        """Whether targets are class indices (else probabilities)."""
        return not self.target.is_floating_point()

    @property
    def weighted(self) -> bool:
        """Whether q holds numbers of the caller's, which may be infinite."""
        return self.class_weight is not None or not self.is_index


class RowCount(NamedTuple):
    """0-d tensors on the device of the logits; no synchronisation."""

    rows: Tensor  # int64: rows that are read
    share: Tensor  # sum of row_weight_i * share_i in the compute dtype; share_i = w_{y_i}, or 1 for probabilities


class RowReading(NamedTuple):
    """(outer, inner) int64. Rows not read: -1. rank is -1 for probability targets."""

    predicted: Tensor  # lowest index of the maximum of z
    rank: Tensor  # number of classes with z_c > z_y


class RowGradWant(NamedTuple):
    """Which gradients beside the logits' are asked for."""

    scale: bool = False  # sum_c dz_c * d z_c / d logit_scale, per row
    target: bool = False  # hard_i * w_c * on * (log_sum - (z_c - max)): d/d probabilities


class RowGrads(NamedTuple):
    """What ``row_grad`` returns beside the ``out`` it filled."""

    scale: Tensor | None = None  # (outer, inner), compute dtype
    target: Tensor | None = None  # shape and dtype of the probability target, contiguous


HOSTS = frozenset({"cpu"})


def on_host(tensor: Tensor) -> bool:
    """Whether a number of this tensor can be looked at for nothing; elsewhere decisions stay on the device."""
    return tensor.device.type in HOSTS


class TargetOutOfRange(Exception):
    """An index target that is neither ``skip`` nor in [0, V). Raised before any gather on CPU."""

    def __init__(self, row: int, target: int) -> None:
        super().__init__(row, target)
        self.row = row  # flat index into (outer, inner)
        self.target = target


class Backend(Protocol):
    """The shape of a backend module (see the table above)."""

    name: str
    gradient_in_forward: bool

    def supports(self, device: torch.device, dtype: torch.dtype) -> str | None: ...
    def empty(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor: ...
    def count_rows(self, problem: RowProblem, row_weight: Tensor | None) -> RowCount: ...
    def row_stats(self, problem: RowProblem, *, tilt: bool = False) -> RowStats: ...
    def row_read(self, problem: RowProblem) -> RowReading: ...
    def row_grad(
        self,
        problem: RowProblem,
        stats: RowStats,
        coefficients: GradCoefficients,
        out: Tensor,
        *,
        want: RowGradWant = RowGradWant(),  # noqa: B008
    ) -> RowGrads: ...
    def row_loss_and_grad(
        self, problem: RowProblem, factor: Tensor, row_factor: Tensor | None, out: Tensor
    ) -> Tensor: ...
    def log_softmax(self, rows: Rows, out: Tensor) -> None: ...
    def log_softmax_grad(
        self, rows: Rows, log_probs: Tensor, upstream: Tensor, out: Tensor, *, want_scale: bool = False
    ) -> Tensor | None: ...


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, float32 for every other floating dtype."""
    return torch.float64 if dtype == torch.float64 else torch.float32
