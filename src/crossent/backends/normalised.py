"""Rows that are log-probabilities already (nll_loss): nothing is exponentiated, max = log_sum = 0.

With index targets and no smoothing only the target's column is read and written: a gather and a scatter,
which torch does at full speed on every device. The rest (probabilities against log-probabilities) is plain torch.
The engines share this page. On the CPU they have refused targets out of range before; elsewhere those make the row NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crossent.backends.protocol import RowProblem, Rows, on_host


def row_sums(problem: RowProblem) -> tuple[Tensor, Tensor]:
    """(dot, mass) of each row; targets are in range, rows that are not read give 0."""
    if not _only_target(problem):
        z = _z(problem)
        q = _q(problem, z)
        read = _read(problem)
        products = q * z
        if read is not None:
            products, q = torch.where(read, products, 0.0), torch.where(read, q, 0.0)
        return products.sum(1), q.sum(1)
    read = _read(problem)
    safe = _safe(problem)
    own = _z(problem, problem.logits.gather(1, safe))[:, 0]
    if not on_host(own):
        own = torch.where(_exists(problem), own, torch.nan)
    mass = torch.full_like(own, problem.on)
    if problem.class_weight is not None:
        mass = mass * problem.class_weight[safe[:, 0]]
    dot = mass * own
    return (dot, mass) if read is None else (torch.where(read[:, 0], dot, 0.0), torch.where(read[:, 0], mass, 0.0))


def gradient(problem: RowProblem, hard: Tensor, out: Tensor) -> Tensor | None:
    """-hard * q, through the map of z, into ``out``; the gradient to logit_scale per row."""
    read = _read(problem)
    if _only_target(problem):
        safe = _safe(problem)
        logits = problem.logits.gather(1, safe)
        own = torch.full_like(hard, problem.on)
        if problem.class_weight is not None:
            own = own * problem.class_weight[safe[:, 0]]
        if not on_host(own):
            own = torch.where(_exists(problem), own, torch.nan)
        dz = (-hard * own)[:, None]
    else:
        safe, logits = None, problem.logits
        dz = -hard[:, None] * _q(problem, _z(problem))
    if read is not None:
        dz = torch.where(read, dz, 0.0)
    d_logits, d_scale = _through_map(problem, logits, dz)
    if read is not None:
        d_logits, d_scale = torch.where(read, d_logits, 0.0), torch.where(read[:, 0], d_scale, 0.0)
    if safe is None:
        out.copy_(d_logits)
    else:
        out.zero_().scatter_(1, safe, d_logits.to(out.dtype))
        if not on_host(out):
            out.masked_fill_(~_exists(problem)[:, None], torch.nan)
    return d_scale


def target_gradient(problem: RowProblem, hard: Tensor) -> Tensor:
    """-hard * w_c * on * z_c: to probabilities."""
    z = _z(problem)
    w = 1.0 if problem.class_weight is None else problem.class_weight[:, None]
    return (-hard[:, None] * problem.on * w * z).to(problem.target.dtype)


def _only_target(problem: RowProblem) -> bool:
    return problem.is_index and problem.off == 0.0 and problem.classes > 0


def _read(problem: RowProblem) -> Tensor | None:
    """(outer, 1, inner) bool; None: every row."""
    return (problem.target != problem.skip)[:, None] if problem.is_index and problem.skip is not None else None


def _safe(problem: RowProblem) -> Tensor:
    """(outer, 1, inner) target classes, 0 where a row is not read, in range where that was not checked."""
    read = _read(problem)
    target = problem.target[:, None]
    safe = target if read is None else torch.where(read, target, 0)
    return safe if on_host(target) else safe.clamp(0, problem.classes - 1)


def _exists(problem: RowProblem) -> Tensor:
    """(outer, inner) bool: the row is not read, or its class is in range."""
    target = problem.target
    return (target == problem.skip) | ((target >= 0) & (target < problem.classes))


def _scale(rows: Rows) -> float | Tensor:
    return rows.logit_scale[:, None] if isinstance(rows.logit_scale, Tensor) else rows.logit_scale


def _z(rows: Rows, logits: Tensor | None = None) -> Tensor:
    z = (rows.logits if logits is None else logits).to(rows.compute_dtype) * _scale(rows)
    return z if rows.softcap is None else rows.softcap * torch.tanh(z / rows.softcap)


def _through_map(rows: Rows, logits: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
    if rows.softcap is not None:
        dz = dz * (1 - (_z(rows, logits) / rows.softcap).square())
    x = logits.to(dz.dtype)
    return dz * _scale(rows), torch.where(x.isinf(), 0.0, dz * x).sum(1)


def _q(problem: RowProblem, z: Tensor) -> Tensor:
    weight = None if problem.class_weight is None else problem.class_weight[:, None]
    if not problem.is_index:
        q = problem.on * problem.target.to(z.dtype) + problem.off
        return q if weight is None else q * weight
    safe = _safe(problem)
    q = torch.full_like(z, problem.off) if weight is None else problem.off * weight.expand_as(z)
    if not problem.classes:
        return q
    own = torch.full_like(safe, problem.on, dtype=z.dtype)
    if problem.class_weight is not None:
        own = own * problem.class_weight[safe]
    return q.scatter_add(1, safe, own)
