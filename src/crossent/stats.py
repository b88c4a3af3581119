"""The one idea of the package: cross entropy is a few numbers per row.

Every loss here is the cross entropy of one row of transformed logits ``z`` (V classes) against an
unnormalised target row ``q``::

    q_c   = off * w_c + on * w_y * [c == y]            index target y: on = 1 - smoothing, off = smoothing / V
    q_c   = w_c * (on * p_c + off)                     probability target p
    max   = max_c z_c                                  log_sum = log sum_c exp(z_c - max)
    dot   = sum_c q_c (z_c - max)                      mass    = sum_c q_c
    tilt  = sum_c softmax_c (z_c - max)                (only when an entropy is asked for)

    row   = mass * log_sum - dot + zeta * (max + log_sum)^2
    dz_c  = softmax_c * (soft + bend * (z_c - max)) - hard * q_c

The three coefficients carry everything else: the row's upstream gradient, its sample weight and the
denominator. So reduction, denominators and read-outs never reach a kernel, and a row that is ignored
is one whose coefficients are never used.

``max`` and ``log_sum`` stay apart: with logits near 1e4 a float32 ``logsumexp - z_y`` is wrong in the
fourth digit, ``log_sum - (z_y - max)`` in the seventh.

``merge`` joins the statistics of two disjoint sets of classes. It is associative, so the same lines
serve vocabulary tiles, chunks and the ranks of a vocabulary-parallel head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RowStats(NamedTuple):
    """The numbers of each row, all of one shape and dtype (float32, or float64 for float64 logits).

    ``tilt`` is None unless an entropy was asked for. Rows that are not read hold 0.
    """

    max: Tensor
    log_sum: Tensor
    dot: Tensor
    mass: Tensor
    tilt: Tensor | None = None


class GradCoefficients(NamedTuple):
    """Per-row factors of ``dz_c = softmax_c * (soft + bend * (z_c - max)) - hard * q_c``.

    ``bend`` is None when no entropy has an upstream gradient.
    """

    soft: Tensor
    hard: Tensor
    bend: Tensor | None = None


def logsumexp(stats: RowStats) -> Tensor:
    """log sum_c exp(z_c) of each row, the one place where ``max`` and ``log_sum`` are added; -inf where all z are."""
    return torch.where(stats.max == -torch.inf, stats.max, stats.max + stats.log_sum)


def cross_entropy(stats: RowStats, *, weighted: bool = True) -> Tensor:
    """-sum_c q_c log_softmax(z)_c of each row.

    ``weighted``: q may hold infinite numbers (class weights, probabilities). They make ``mass`` infinite, and ``dot``
    too, or NaN where such a class has the maximum (inf * 0): then inf * log_sum is what is meant, not inf - inf.
    """
    row = stats.mass * stats.log_sum - stats.dot
    if not weighted:
        return row
    far = stats.mass.sign() * stats.dot.nan_to_num(0.0, torch.inf, -torch.inf)
    return torch.where(stats.mass.isinf(), stats.mass * (stats.log_sum - far), row)


def row_loss(stats: RowStats, z_loss: float, *, weighted: bool = True) -> Tensor:
    """Cross entropy plus ``z_loss * logsumexp^2`` of each row, before sample weights."""
    row = cross_entropy(stats, weighted=weighted)
    return row + z_loss * logsumexp(stats).square() if z_loss else row


def entropy(stats: RowStats) -> Tensor:
    """Entropy of softmax(z) of each row in nats."""
    assert stats.tilt is not None, "statistics were taken without tilt"
    return stats.log_sum - stats.tilt


def loss_coefficients(stats: RowStats, z_loss: float, upstream: Tensor) -> GradCoefficients:
    """Coefficients for the gradient of ``sum_i upstream_i * row_i``."""
    soft = stats.mass + 2.0 * z_loss * logsumexp(stats) if z_loss else stats.mass
    return GradCoefficients(soft=upstream * soft, hard=upstream)


def readout_coefficients(
    stats: RowStats, logsumexp_upstream: Tensor, entropy_upstream: Tensor | None
) -> GradCoefficients:
    """Coefficients for the gradients that reach the logits through logsumexp and entropy.

    d logsumexp/dz_c = softmax_c;  d entropy/dz_c = softmax_c * (tilt - (z_c - max)).
    """
    none = torch.zeros_like(stats.max)
    if entropy_upstream is None:
        return GradCoefficients(soft=logsumexp_upstream, hard=none)
    assert stats.tilt is not None, "statistics were taken without tilt"
    return GradCoefficients(soft=logsumexp_upstream + entropy_upstream * stats.tilt, hard=none, bend=-entropy_upstream)


def merge(a: RowStats, b: RowStats) -> RowStats:
    """Statistics of the union of two disjoint sets of classes.

    A side whose classes are all -inf (or empty: max = -inf) weighs nothing in log_sum and tilt; its
    ``dot`` is kept as it is, since it is relative to its own maximum and a zero ``mass`` moves it by 0.
    """
    top = torch.maximum(a.max, b.max)
    down_a, down_b = _shift(a.max, top), _shift(b.max, top)
    part_a, part_b = _part(a, down_a), _part(b, down_b)
    total = part_a + part_b
    tilt = None
    if a.tilt is not None and b.tilt is not None:
        tilt = (_weighted(part_a, a.tilt + down_a) + _weighted(part_b, b.tilt + down_b)) / total
    return RowStats(
        max=top,
        log_sum=total.log(),
        dot=a.dot + _weighted(a.mass, down_a) + b.dot + _weighted(b.mass, down_b),
        mass=a.mass + b.mass,
        tilt=tilt,
    )


def _part(side: RowStats, down: Tensor) -> Tensor:
    """sum_c exp(z_c - top) of a side; 0 where all its classes are -inf, whatever it takes the logarithm of that for."""
    return torch.where(side.max == -torch.inf, 0.0, torch.exp(down + side.log_sum))


def _shift(own: Tensor, top: Tensor) -> Tensor:
    """own - top, with -inf - -inf = -inf (an empty side stays empty) and inf - inf left NaN."""
    return torch.where(own == -torch.inf, own, own - top)


def _weighted(weight: Tensor, value: Tensor) -> Tensor:
    """weight * value with 0 * inf = 0: a side without weight says nothing, nor does one that does not move."""
    return torch.where((weight == 0) | (value == 0), 0.0, weight * value)
