"""How far an answer may be from the exact one: derived from the arithmetic, not chosen.

Inputs are made in the low dtype and then widened, so both sides start from the same numbers and only
the arithmetic counts. An answer is a sum of terms; with u the unit roundoff of the compute dtype it
may be off by::

    u * noise + roundings * unit(result) * |exact| + underflow          (+ torch's own error, if given)

``noise`` is the sum over the terms of |term| times the number of roundings that reach it:

* a fixed number (STEPS) for the few operations and the exp, log and tanh of a term (2 ulp each);
* sqrt(n) for a sum of n terms: rounding errors are nearly independent, so they grow with the root
  (Higham and Mary, SIAM J. Sci. Comput. 41(5), 2019); no kernel has to add in a particular order;
* |z_c - max| for exp(z_c - max), whose argument is already rounded;
* |z| where logits were scaled or capped first.

Where ``noise`` is 0 no term exists (an ignored row, a class at -inf): the answer is exactly 0. NaN must
be NaN and an infinity that infinity. Integers and booleans are equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.backends import reference
from crossent.backends.protocol import RowProblem

STEPS = 16.0


def unit(dtype: torch.dtype) -> float:
    """Largest relative error of one rounding."""
    return torch.finfo(dtype).eps / 2


def smallest(dtype: torch.dtype) -> float:
    """The smallest subnormal number."""
    return torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps


def growth(length: int) -> float:
    """Roundings that reach a term of a sum of this length."""
    return STEPS + math.sqrt(length)


class Closeness(NamedTuple):
    """The verdict on one tensor: errors and what was allowed, elementwise, in float64."""

    error: Tensor
    allowed: Tensor
    wrong: Tensor  # bool: too far, or NaN, infinity or exact zero in the wrong place


def judge(
    ours: Tensor,
    exact: Tensor,
    noise: Tensor,
    compute: torch.dtype,
    *,
    roundings: float = 1.0,
    torch_error: float = 0.0,
) -> Closeness:
    """Hold ``ours`` to the float64 ``exact``."""
    wide, result = ours.double(), ours.dtype
    error = (wide - exact).abs()
    finest = torch.finfo(result)
    underflow = roundings * smallest(result) + 64 * smallest(compute)
    rounding = roundings * unit(result) * exact.abs() + underflow
    allowed = torch.where(noise == 0, 0.0, unit(compute) * noise + rounding + torch_error)
    special = ~exact.isfinite()
    same = (wide == exact) | (wide.isnan() & exact.isnan())
    # What is too large for the result's dtype is infinite there, or the largest number if it is near the edge.
    overflows = exact.isfinite() & (exact.abs() + allowed > finest.max) & (wide.abs() >= finest.max * (1 - finest.eps))
    far = ~(error <= allowed) & ~(overflows & (wide.sign() == exact.sign()))
    return Closeness(error, allowed, torch.where(special, ~same, far))


def check(
    name: str,
    ours: Tensor,
    exact: Tensor,
    noise: Tensor | None,
    compute: torch.dtype,
    *,
    roundings: float = 1.0,
    torch_error: float = 0.0,
) -> None:
    """Raise AssertionError with the worst entry if ``ours`` is not close to ``exact``."""
    assert ours.shape == exact.shape, f"{name}: shape {tuple(ours.shape)}, expected {tuple(exact.shape)}"
    if noise is None or not ours.is_floating_point():
        assert torch.equal(ours, exact), f"{name}: {ours.flatten()[:8]} is not {exact.flatten()[:8]}"
        return
    verdict = judge(ours.detach(), exact.detach(), noise, compute, roundings=roundings, torch_error=torch_error)
    if not verdict.wrong.any():
        return
    excess = torch.where(verdict.wrong, (verdict.error / verdict.allowed).nan_to_num(torch.inf), -1.0)
    worst = tuple(int(i) for i in torch.unravel_index(excess.argmax(), excess.shape))
    raise AssertionError(
        f"{name}: {int(verdict.wrong.sum())} of {ours.numel()} wrong; at {worst} {ours[worst].item()!r} instead of "
        f"{exact[worst].item()!r}: off by {verdict.error[worst].item():.3g}, "
        f"allowed {verdict.allowed[worst].item():.3g}"
    )


class RowTerms(NamedTuple):
    """The terms of each row in float64: finite (an infinite term has no rounding), zeros where not read."""

    probs: Tensor  # (outer, V, inner): softmax
    q: Tensor  # (outer, V, inner): |target row|
    far: Tensor  # (outer, V, inner): |z - max|
    mass: Tensor  # (outer, inner) from here on
    dot: Tensor  # sum |q| |z - max|
    tilt: Tensor  # sum p |z - max|
    log_sum: Tensor
    lse: Tensor  # |max| + |log_sum|
    top: Tensor
    moved: Tensor  # error of a scaled or capped logit, in units of u
    read: Tensor  # bool


def _finite(tensor: Tensor) -> Tensor:
    return torch.where(tensor.isfinite(), tensor, 0.0)


def row_terms(problem: RowProblem) -> RowTerms:
    """The terms of a float64 problem."""
    z = reference._z(problem)
    stats = reference.row_stats(problem)
    read = torch.ones(problem.row_shape, dtype=torch.bool)
    if problem.is_index:
        read = problem.target != problem.skip
    shifted = z - stats.max[:, None]
    probs = torch.zeros_like(z) if problem.normalised else (shifted - stats.log_sum[:, None]).exp()
    mapped = problem.softcap is not None or isinstance(problem.logit_scale, Tensor) or problem.logit_scale != 1.0
    largest = _finite(z).abs().amax(1) if z.shape[1] else torch.zeros_like(stats.max)
    q, far = reference._q(problem, z).abs(), _finite(shifted).abs()
    probs, q = (torch.where(read[:, None], _finite(term), 0.0) for term in (probs, q))
    return RowTerms(
        probs=probs,
        q=q,
        far=far,
        mass=q.sum(1),
        dot=(q * far).sum(1),
        tilt=(probs * far).sum(1),
        log_sum=_finite(stats.log_sum).abs(),
        lse=_finite(stats.log_sum).abs() + _finite(stats.max).abs(),
        top=_finite(stats.max).abs(),
        moved=8.0 * largest if mapped else torch.zeros_like(largest),
        read=read,
    )


def value_noise(terms: RowTerms, z_loss: float) -> dict[str, Tensor]:
    """Noise of the row loss, logsumexp, entropy and z_loss of each row."""
    steps = growth(terms.probs.shape[1])
    slope = terms.lse * 2.0 * z_loss
    lse = steps * (terms.log_sum + 1.0) + terms.top + terms.lse + terms.moved
    squares = slope * (lse + STEPS * terms.lse)
    row = steps * (terms.mass * (terms.log_sum + 1.0) + terms.dot) + 2.0 * terms.moved * terms.mass + squares
    entropy = steps * (terms.log_sum + 1.0 + terms.tilt * (1.0 + terms.far.amax(1))) + terms.moved * (2.0 + terms.tilt)
    known = {"row": row, "logsumexp": lse, "entropy": entropy, "z_loss": squares}
    return {name: torch.where(terms.read, noise, 0.0) for name, noise in known.items()}


def grad_noise(
    terms: RowTerms, problem: RowProblem, soft: Tensor, hard: Tensor, bend: Tensor | None, compute: torch.dtype
) -> Tensor:
    """Noise of ``dz_c = p_c (soft + bend (z_c - max)) - hard q_c`` taken to the logits, elementwise.

    ``soft``, ``hard`` and ``bend`` are the sums of the absolute terms of the coefficients of each row.
    """
    steps = growth(terms.probs.shape[1]) + terms.far + (terms.log_sum + 2.0 * terms.moved)[:, None]
    factor = soft[:, None] if bend is None else soft[:, None] + bend[:, None] * (terms.far + 1.0 + terms.moved[:, None])
    noise = steps * (terms.probs * factor + hard[:, None] * terms.q)
    # exp may give 0 where the smallest normal number is passed
    noise = noise + torch.where(terms.probs > 0, torch.finfo(compute).tiny / unit(compute) * factor, 0.0)
    scale = problem.logit_scale
    noise = noise * (scale.abs()[:, None] if isinstance(scale, Tensor) else abs(scale))
    return torch.where(terms.read[:, None], noise.nan_to_num(0.0), 0.0)


def scale_noise(problem: RowProblem, noise: Tensor) -> Tensor:
    """Noise of ``sum_c dz_c * d z_c / d logit_scale`` of each row, from that of the logits' gradient."""
    scale = problem.logit_scale
    scale = scale.abs()[:, None] if isinstance(scale, Tensor) else abs(scale)
    return ((noise / scale).nan_to_num(0.0) * _finite(problem.logits).abs()).sum(1)


def worst(verdicts: Mapping[str, Closeness]) -> float:
    """The largest error, in units of what was allowed."""
    ratios = [(v.error / v.allowed).nan_to_num(0.0, posinf=0.0).max() for v in verdicts.values() if v.error.numel()]
    return max((float(ratio) for ratio in ratios), default=0.0)
