"""The same algebra as ordinary differentiable torch operations.

This is what runs where a kernel cannot: under ``torch.func`` transforms and forward-mode AD, in the
second backward, under ``torch.compile``, ``torch.export``, ``jit.trace`` and ``make_fx`` (so graphs hold
aten operators only), for tensor subclasses and devices without an engine, and inside ``jit.script``.
So: no in-place operation, no data-dependent shape, no Python object that TorchScript does not know.

A row that is not read is replaced by zeros before any arithmetic and its result by zero after it, so
neither its value nor a gradient of any order can spread. (By masked_fill: the gradient that TorchScript has
for ``where`` is upstream * condition, and NaN * 0 is NaN.)
"""

# No `from __future__ import annotations`: TorchScript reads the annotations.
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from crossent.backends.protocol import compute_dtype
from crossent.options import LossOptions
from crossent.problem import Layout, LossTensors


class RowTerms(NamedTuple):
    """Per-row terms in the index target's shape; all differentiable but ``read`` and ``predicted``."""

    row: Tensor  # cross entropy with weights and smoothing, plus z_loss * logsumexp^2
    share: Tensor  # the row's own share in torch's denominator
    read: Tensor  # bool
    nll: Tensor
    logsumexp: Tensor
    entropy: Tensor
    z_loss: Tensor
    predicted: Tensor
    rank: Tensor


def map_logits(input: Tensor, logit_scale: Optional[Tensor], softcap: float, dim: int) -> Tensor:
    """z = softcap * tanh(logit_scale * input / softcap) in float32 or better; softcap 0: none."""
    z = input if input.dtype == torch.float64 else input.to(torch.float32)
    if logit_scale is not None:
        scale = logit_scale.to(z.dtype)
        if scale.dim() > 0:
            scale = scale.unsqueeze(dim)
        infinite = z.isinf()  # an infinite logit has no say in the gradient of the scale
        z = torch.where(infinite, z * scale.detach(), torch.where(infinite, torch.zeros_like(z), z) * scale)
    if softcap > 0.0:
        z = softcap * torch.tanh(z / softcap)
    return z


def log_softmax(input: Tensor, dim: int, logit_scale: Optional[Tensor], softcap: float) -> Tensor:
    """log softmax(z) in float32 or better."""
    z = map_logits(input, logit_scale, softcap, dim)
    return torch.log_softmax(z, dim)


def row_terms(
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor],
    logit_scale: Optional[Tensor],
    dim: int,
    ignore_index: int,
    label_smoothing: float,
    softcap: float,
    z_loss: float,
    normalised: bool,
    readouts: bool,
) -> RowTerms:
    """All per-row terms of a call whose shapes were checked; ``dim`` is the class dimension."""
    is_index = not target.is_floating_point()
    if input.size(dim) == 0:
        input, target, weight = _one_empty_class(input, target, weight, dim, ignore_index)
    read = torch.ones_like(input.select(dim, 0), dtype=torch.bool)
    if is_index:
        input, target, logit_scale, read = _blanked(input, target, logit_scale, dim, ignore_index)
    z = map_logits(input, logit_scale, softcap, dim)
    top, shifted, log_sum = _normaliser(z, dim, normalised)
    smoothing = label_smoothing if label_smoothing > 0.0 else 0.0
    if is_index:
        row, share, nll = _index_rows(shifted, log_sum, target, weight, dim, smoothing)
    else:
        row, share, nll = _probability_rows(shifted, log_sum, target, weight, dim, smoothing)
    lse = torch.where(top == -torch.inf, top, top + log_sum)
    zeros = torch.zeros_like(row)
    squares, entropy, predicted, rank = zeros, zeros, zeros, zeros
    if z_loss > 0.0:
        squares = z_loss * lse.square()
    elif readouts:
        squares = lse.masked_fill(torch.ones_like(read), 0.0)  # connected, as the other fields are
    if readouts:
        entropy = _entropy(shifted, log_sum, dim)
        predicted, rank = _reading(z.detach(), target, dim)
    unread = torch.logical_not(read)
    return RowTerms(
        row=(row + squares).masked_fill(unread, 0.0),
        share=share.masked_fill(unread, 0.0),
        read=read,
        nll=nll.masked_fill(unread, 0.0),
        logsumexp=lse.masked_fill(unread, 0.0),
        entropy=entropy.masked_fill(unread, 0.0),
        z_loss=squares.masked_fill(unread, 0.0),
        predicted=predicted,
        rank=rank,
    )


def _blanked(
    input: Tensor, target: Tensor, logit_scale: Optional[Tensor], dim: int, ignore_index: int
) -> tuple[Tensor, Tensor, Optional[Tensor], Tensor]:
    """Zeros for all that stands in rows that are not read; and which rows are.

    Before the map: the gradient of tanh or of the scale would carry a NaN back.
    """
    target = target.to(torch.int64)  # first: compared as uint8, -100 would be 156
    unread = target == ignore_index
    if logit_scale is not None and logit_scale.dim() > 0:
        logit_scale = logit_scale.masked_fill(unread, 0.0)
    input = input.masked_fill(unread.unsqueeze(dim), 0.0)
    return input, target.masked_fill(unread, 0), logit_scale, torch.logical_not(unread)


def _one_empty_class(
    input: Tensor, target: Tensor, weight: Optional[Tensor], dim: int, ignore_index: int
) -> tuple[Tensor, Tensor, Optional[Tensor]]:
    """Sums over no class as those over one that has no weight and that no label means."""
    if target.is_floating_point():
        target = target.sum(dim, keepdim=True)
    else:
        target = target.to(torch.int64)
        target = target.masked_fill(target != ignore_index, 1)
    if weight is not None:
        weight = weight.reshape(-1).sum(0, keepdim=True)
    return input.sum(dim, keepdim=True), target, weight


def _normaliser(z: Tensor, dim: int, normalised: bool) -> tuple[Tensor, Tensor, Tensor]:
    """max, z - max and log sum exp(z - max) of each row; 0, z and 0 of log-probabilities."""
    if normalised:
        none = torch.zeros_like(z.select(dim, 0))
        return none, z, none
    top = z.detach().amax(dim)
    shifted = z - top.unsqueeze(dim)
    return top, shifted, shifted.exp().sum(dim).log()


def _index_rows(
    shifted: Tensor, log_sum: Tensor, target: Tensor, weight: Optional[Tensor], dim: int, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Cross entropy, share of the denominator, and unweighted, unsmoothed nll of rows with a label."""
    nll = log_sum - shifted.gather(dim, target.unsqueeze(dim)).squeeze(dim)
    share = torch.ones_like(log_sum)
    if weight is not None:
        # not weight[target]: Dynamo takes a 0-d target for a number there, and asks what it is
        share = weight.to(shifted.dtype).reshape(-1).index_select(0, target.flatten()).reshape(target.shape)
    row = (1.0 - smoothing) * share * nll
    if smoothing > 0.0:
        spread = log_sum.unsqueeze(dim) - shifted
        row = row + smoothing * _weighted(spread, weight, dim).mean(dim)
    return row, share, nll


def _probability_rows(
    shifted: Tensor, log_sum: Tensor, target: Tensor, weight: Optional[Tensor], dim: int, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The same of rows with probabilities; each row's share is 1."""
    probs = target.to(shifted.dtype)
    spread = log_sum.unsqueeze(dim) - shifted
    # A tensor of its dtype: jit.trace takes the size for a tensor too, and number / int64 is float32.
    q = (1.0 - smoothing) * probs + shifted.new_full([], smoothing) / shifted.size(dim)
    return (_weighted(q, weight, dim) * spread).sum(dim), torch.ones_like(log_sum), (probs * spread).sum(dim)


def reduce(
    terms: RowTerms, sample_weight: Optional[Tensor], denominator: Optional[Tensor], reduction: str, zero_if_empty: bool
) -> Tensor:
    """none, sum, or mean = sum_i s_i row_i / (denominator, or sum_i s_i share_i)."""
    rows, share = terms.row, terms.share
    if sample_weight is not None:
        unread = torch.logical_not(terms.read)
        weight = sample_weight.to(rows.dtype).masked_fill(unread, 0.0)
        rows, share = (rows * weight).masked_fill(unread, 0.0), share * weight
    if reduction == "none":
        return rows
    total = rows.sum()
    if reduction == "sum":
        return total
    if denominator is None:
        below = share.sum()
        below = below / (below != 0)  # a mean over no weight is NaN, also where smoothing or z-loss leave a total
    else:
        below = denominator.to(rows.dtype).reshape(())
    if zero_if_empty:
        nothing = torch.logical_not(terms.read.any())
        below = torch.where(nothing, torch.ones_like(below), below)
    return total / below


def _weighted(rows: Tensor, weight: Optional[Tensor], dim: int) -> Tensor:
    """Every class times its weight."""
    if weight is None:
        return rows
    return weight.to(rows.dtype).reshape([-1] + [1] * (rows.dim() - dim - 1)) * rows


def _reading(z: Tensor, target: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Lowest index of the maximum, and how many classes exceed the target (-1 with probabilities)."""
    predicted = z.max(dim).indices
    if target.is_floating_point():
        return predicted, torch.full_like(predicted, -1)
    # of z, not of z - max: beside an infinite logit that is NaN
    return predicted, (z > z.gather(dim, target.unsqueeze(dim))).sum(dim)


def _entropy(shifted: Tensor, log_sum: Tensor, dim: int) -> Tensor:
    """log_sum - sum_c softmax_c (z_c - max); a class without probability adds 0."""
    probs = (shifted - log_sum.unsqueeze(dim)).exp()
    finite = torch.where(probs == 0, torch.zeros_like(shifted), shifted)
    return log_sum - (probs * finite).sum(dim)


def evaluate(
    function: str,
    tensors: LossTensors,
    options: LossOptions,
    layout: Layout,
    result_dtype: torch.dtype,
    readouts: bool = False,
) -> tuple[Tensor, ...]:
    """A call of crossent's own: (loss,), or (loss, nll, logsumexp, entropy, z_loss, predicted, correct, rank)."""
    target = tensors.target
    is_index = not target.is_floating_point()
    target = layout.narrow_index(target) if is_index else layout.narrow_input(target, offset=layout.unread)
    if is_index and target.shape != layout.index_shape and not layout.shift:
        target = target.reshape(layout.index_shape)  # torch takes (C), (1,) for one sample
    scale, weight = tensors.logit_scale, tensors.sample_weight
    if isinstance(scale, Tensor) and scale.dim():
        scale = layout.narrow_index(scale)
    terms = row_terms(
        layout.narrow_input(tensors.input),
        target,
        tensors.weight,
        as_scale(scale, tensors.input),
        layout.class_dim,
        options.ignore_index,
        float(options.label_smoothing),
        float(options.softcap or 0.0),
        float(options.z_loss),
        function == "nll_loss",
        readouts,
    )
    below = tensors.denominator
    if below is not None and not isinstance(below, Tensor):
        below = torch.full((), below, dtype=terms.row.dtype, device=terms.row.device)
    loss = reduce(
        terms,
        None if weight is None else layout.narrow_index(weight),
        below,
        options.reduction,
        options.if_all_ignored == "zero",
    )
    if options.reduction == "none":
        loss = layout.widen_index(loss)
    if not readouts:
        return (loss.to(result_dtype),)
    return (loss.to(result_dtype), *_fields(terms, target, layout, is_index))


def as_scale(scale: Tensor | float | None, input: Tensor) -> Tensor | None:
    """A logit_scale given as a number, as the 0-d tensor that the functions above take."""
    if scale is None or isinstance(scale, Tensor):
        return scale
    return torch.full((), scale, dtype=compute_dtype(input.dtype), device=input.device)


def _fields(terms: RowTerms, target: Tensor, layout: Layout, is_index: bool) -> tuple[Tensor, ...]:
    """The other fields of cross_entropy_with_stats, in the index target's shape."""
    wanted = target if is_index else target.detach().max(layout.class_dim).indices
    correct = torch.logical_and(terms.read, terms.predicted == wanted)
    unread, widen = torch.logical_not(terms.read), layout.widen_index
    return (
        *(widen(term) for term in (terms.nll, terms.logsumexp, terms.entropy, terms.z_loss)),
        widen(terms.predicted.masked_fill(unread, -1), -1),
        widen(correct, False),
        widen(terms.rank.masked_fill(unread, -1), -1),
    )
