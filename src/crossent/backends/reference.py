"""The specification: the row algebra of ``stats.py`` in plain torch, with the gradient written out.

Runs on any device in any floating dtype; in float64 it is the oracle every other backend is held to.
Nothing here is clever: each function reads like its formula. Two habits matter for correctness:

* a row that is not read is replaced by zeros *before* any arithmetic, so NaN in it cannot spread;
* 0 * (-inf) of a class that has no say is never formed (``row_stats``, ``_tilt``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from crossent.backends.protocol import (
    RowCount,
    RowGrads,
    RowGradWant,
    RowProblem,
    RowReading,
    Rows,
    TargetOutOfRange,
    on_host,
)
from crossent.stats import GradCoefficients, RowStats, loss_coefficients, row_loss

name = "reference"
scratch_bytes_per_logit = 24  # float32 intermediates of a gradient; a linear head's memory budget counts them
gradient_in_forward = False  # nothing stays in cache between plain torch operations


def supports(device: torch.device, dtype: torch.dtype) -> str | None:
    """Everything that holds numbers."""
    return "meta tensors hold no numbers" if device.type == "meta" else None


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for a result."""
    return torch.empty(shape, dtype=dtype, device=device)


def count_rows(problem: RowProblem, row_weight: Tensor | None) -> RowCount:
    """Rows that are read, and the sum of row_weight_i * share_i."""
    share = torch.ones(problem.row_shape, dtype=problem.compute_dtype, device=problem.logits.device)
    read = _read(problem)
    if read is not None:
        share = read.to(share.dtype)
        if problem.class_weight is not None:
            share = torch.where(read, problem.class_weight[_safe_target(problem)], 0.0)
    rows = torch.full((), share.numel(), device=share.device) if read is None else read.sum()
    weighted = share if row_weight is None else torch.where(_or_all(read, share), share * row_weight, 0.0)
    return RowCount(rows=rows, share=weighted.sum())


def row_stats(problem: RowProblem, *, tilt: bool = False) -> RowStats:
    """max, log_sum, dot, mass (and tilt) of each row; zeros where a row is not read."""
    z = _z(problem)
    if problem.normalised:
        top = z.new_zeros(problem.row_shape)
        log_sum = top
    else:
        top = z.amax(1) if problem.classes else torch.zeros_like(z.sum(1))
        log_sum = (z - top[:, None]).exp().sum(1).log() if problem.classes else top
    shifted = z if problem.normalised else z - top[:, None]
    dot, mass = _dot_and_mass(problem, shifted)
    lean = _tilt(shifted, log_sum) if tilt else None
    stats = RowStats(max=top, log_sum=log_sum, dot=dot, mass=mass, tilt=lean)
    read = _read(problem)
    if read is None:
        return stats
    kept = (torch.where(read, number, 0.0) for number in stats if number is not None)
    return RowStats(*kept)


def row_read(problem: RowProblem) -> RowReading:
    """Predicted class (lowest index of the maximum) and rank of the target."""
    z = _z(problem)
    predicted = z.max(1).indices
    read = _read(problem)
    if read is None:
        return RowReading(predicted=predicted, rank=torch.full_like(predicted, -1))
    own = z.gather(1, _safe_target(problem)[:, None])
    rank = (z > own).sum(1)
    return RowReading(predicted=torch.where(read, predicted, -1), rank=torch.where(read, rank, -1))


def row_grad(
    problem: RowProblem,
    stats: RowStats,
    coefficients: GradCoefficients,
    out: Tensor,
    *,
    want: RowGradWant = RowGradWant(),  # noqa: B008
) -> RowGrads:
    """dz_c = softmax_c * (soft + bend * (z_c - max)) - hard * q_c, taken through the map of z."""
    z = _z(problem)
    shifted = z - stats.max[:, None]
    log_probs = shifted - stats.log_sum[:, None]
    factor = coefficients.soft[:, None]
    if coefficients.bend is not None:
        factor = factor + coefficients.bend[:, None] * torch.where(log_probs == -torch.inf, 0.0, shifted)
    soft = torch.zeros_like(z) if problem.normalised else log_probs.exp() * factor
    dz = soft - _hard_part(problem, z, coefficients.hard)
    d_logits, d_scale = _through_map(problem, z, dz)
    read = _read(problem)
    if read is not None:
        d_logits = torch.where(read[:, None], d_logits, 0.0)
        d_scale = torch.where(read, d_scale, 0.0)
    out.copy_(d_logits)
    d_target = None
    if want.target:
        d_target = -coefficients.hard[:, None] * problem.on * log_probs
        if problem.class_weight is not None:
            d_target = d_target * problem.class_weight[:, None]
        d_target = d_target.to(problem.target.dtype)
    return RowGrads(scale=d_scale if want.scale else None, target=d_target)


def row_loss_and_grad(problem: RowProblem, factor: Tensor, row_factor: Tensor | None, out: Tensor) -> Tensor:
    """Row losses, and the gradient of sum_i factor * row_factor_i * row_i written to ``out``."""
    stats = row_stats(problem)
    upstream = factor.expand(problem.row_shape) if row_factor is None else factor * row_factor
    rows = row_loss(stats, problem.z_loss, weighted=problem.weighted)
    row_grad(problem, stats, loss_coefficients(stats, problem.z_loss, upstream), out)
    return rows


def log_softmax(rows: Rows, out: Tensor) -> None:
    """z - max - log sum exp(z - max)."""
    z = _map(rows)
    if z.numel():
        shifted = z - z.amax(1, keepdim=True)
        out.copy_(shifted - shifted.exp().sum(1, keepdim=True).log())


def log_softmax_grad(
    rows: Rows, log_probs: Tensor, upstream: Tensor, out: Tensor, *, want_scale: bool = False
) -> Tensor | None:
    """dz = g - softmax * sum_c g_c, taken through the map of z."""
    z = _map(rows)
    g = upstream.to(z.dtype)
    dz = g - log_probs.to(z.dtype).exp() * g.sum(1, keepdim=True)
    d_logits, d_scale = _through_map(rows, z, dz)
    out.copy_(d_logits)
    return d_scale if want_scale else None


def _map(rows: Rows) -> Tensor:
    """z = softcap * tanh(logit_scale * logits / softcap) in the compute dtype."""
    z = rows.logits.to(rows.compute_dtype)
    if isinstance(rows.logit_scale, Tensor):
        z = z * rows.logit_scale[:, None]
    elif rows.logit_scale != 1.0:
        z = z * rows.logit_scale
    return z if rows.softcap is None else rows.softcap * torch.tanh(z / rows.softcap)


def _through_map(rows: Rows, z: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
    """d/d logits, and per row d/d logit_scale (infinite logits have no say there)."""
    if rows.softcap is not None:
        dz = dz * (1 - (z / rows.softcap).square())
    logits = rows.logits.to(dz.dtype)
    d_scale = torch.where(logits.isinf(), 0.0, dz * logits).sum(1)
    scale = rows.logit_scale[:, None] if isinstance(rows.logit_scale, Tensor) else rows.logit_scale
    return dz * scale, d_scale


def _z(problem: RowProblem) -> Tensor:
    """The mapped rows, zeros where a row is not read; targets out of range are refused, or make the row NaN."""
    read = _read(problem)
    if read is None:
        return _map(problem)
    bad = read & _out_of_range(problem)
    if not on_host(bad):
        return torch.where(bad[:, None], torch.nan, torch.where(read[:, None], _map(problem), 0.0))
    if bad.any():
        row = int(bad.reshape(-1).nonzero()[0])
        raise TargetOutOfRange(row, int(problem.target.reshape(-1)[row]))
    return torch.where(read[:, None], _map(problem), 0.0)


def _out_of_range(problem: RowProblem) -> Tensor:
    return (problem.target < 0) | (problem.target >= problem.classes)


def _read(problem: RowProblem) -> Tensor | None:
    """Which rows are read; None: all of them."""
    return problem.target != problem.skip if problem.is_index else None


def _or_all(read: Tensor | None, like: Tensor) -> Tensor:
    return torch.ones_like(like, dtype=torch.bool) if read is None else read


def _safe_target(problem: RowProblem) -> Tensor:
    """The target with class 0 where a row is not read, or where there is no such class."""
    return torch.where((problem.target == problem.skip) | _out_of_range(problem), 0, problem.target)


def _q(problem: RowProblem, z: Tensor) -> Tensor:
    """The target row q of stats.py, spelled out."""
    q = _common(problem, z)
    if not problem.is_index:
        return q
    return torch.where(_is_target(problem), _of_target(problem, problem.on + problem.off)[:, None], q)


def _common(problem: RowProblem, z: Tensor) -> Tensor:
    """q without what an index target's class has on top: off * w_c, or w_c * (on * p_c + off)."""
    q = torch.full_like(z, problem.off) if problem.is_index else problem.on * problem.target.to(z.dtype) + problem.off
    if problem.class_weight is None or (problem.is_index and problem.off == 0.0):  # not 0 * inf
        return q
    return q * problem.class_weight[:, None]


def _of_target(problem: RowProblem, number: float) -> Tensor:
    """number * w_y, per row."""
    own = torch.full(problem.row_shape, number, dtype=problem.compute_dtype, device=problem.logits.device)
    return own if problem.class_weight is None else own * problem.class_weight[_safe_target(problem)]


def _is_target(problem: RowProblem) -> Tensor:
    """(outer, V, inner)."""
    return torch.arange(problem.classes, device=problem.logits.device)[:, None] == _safe_target(problem)[:, None]


def _hard_part(problem: RowProblem, z: Tensor, hard: Tensor) -> Tensor:
    """hard * q; without smoothing only the target's class has a say, also where hard is NaN (a mean over no weight)."""
    part = hard[:, None] * _q(problem, z)
    return torch.where(_is_target(problem), part, 0.0) if problem.is_index and problem.off == 0.0 else part


def _dot_and_mass(problem: RowProblem, shifted: Tensor) -> tuple[Tensor, Tensor]:
    """sum_c q_c (z_c - max) and sum_c q_c; the target's own term is one of its own: it may be 0 * -inf."""
    common = _common(problem, shifted)
    if not problem.is_index:
        return (common * shifted).sum(1), common.sum(1)
    dot = mass = torch.zeros_like(common.sum(1))
    if problem.off:
        dot, mass = (common * shifted).sum(1), common.sum(1)
    if problem.classes:
        own = _of_target(problem, problem.on)
        dot, mass = dot + own * shifted.gather(1, _safe_target(problem)[:, None])[:, 0], mass + own
    return dot, mass


def _tilt(shifted: Tensor, log_sum: Tensor) -> Tensor:
    """sum_c softmax_c (z_c - max); a class without probability adds 0."""
    probs = (shifted - log_sum[:, None]).exp()
    return torch.where(probs == 0, 0.0, probs * shifted).sum(1)
