"""A linear cross entropy as ordinary differentiable torch operations, chunk by chunk.

Serves functorch transforms, forward-mode AD, the second backward, ``torch.compile`` and every other
context that ``handover.py`` names. With ``rows`` given, each chunk of that many rows is checkpointed: its
logits are made again in every backward through it, so at most one chunk's intermediates are alive.
Without it the call holds the logits, as a plain head would.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]

from crossent import composite
from crossent.composite import RowTerms
from crossent.linear.head import LinearTensors, logits_shape
from crossent.options import LossOptions
from crossent.problem import Layout


def evaluate(
    tensors: LinearTensors,
    options: LossOptions,
    layout: Layout,
    result_dtype: torch.dtype,
    *,
    readouts: bool = False,
    top_k: int = 0,
    rows: int | None = None,
) -> tuple[Tensor, ...]:
    """(loss,), or (loss, *readouts.FIELDS[, top log-probabilities, top classes])."""
    if rows is None or rows >= math.prod(layout.index_shape):
        logits = make_logits(tensors)
        answer = composite.evaluate("cross_entropy", tensors.scored(logits), options, layout, result_dtype, readouts)
        return (*answer, *_top(tensors, logits.detach(), options, layout, top_k)) if top_k else answer
    flat = _Flat(tensors, layout)
    parts = [_checkpointed(flat.part(start, rows), options, readouts) for start in range(0, flat.rows, rows)]
    terms = RowTerms(*(torch.cat(column) for column in zip(*parts, strict=True)))
    return _finish(tensors, options, layout, result_dtype, terms, flat, readouts)


def make_logits(tensors: LinearTensors) -> Tensor:
    """F.linear, in the logits' shape."""
    outputs, bias = math.prod(tensors.linear_weight.shape[:-1]), tensors.linear_bias
    projection = tensors.linear_weight.reshape(outputs, tensors.linear_weight.shape[-1])
    logits = F.linear(tensors.input, projection, None if bias is None else bias.reshape(outputs))
    return logits.reshape(logits_shape(tensors.input, tensors.linear_weight))


def _top(
    tensors: LinearTensors, logits: Tensor, options: LossOptions, layout: Layout, top_k: int
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and classes of the top_k most probable classes, in the index shape and one dimension more."""
    dim, scale = layout.class_dim, composite.as_scale(tensors.logit_scale, logits)
    if isinstance(scale, Tensor) and scale.dim():
        scale = layout.narrow_index(scale)
    log_probs = composite.log_softmax(layout.narrow_input(logits), dim, scale, float(options.softcap or 0.0))
    values, classes = log_probs.detach().topk(top_k, dim)
    if not tensors.target.is_floating_point():
        target = layout.narrow_index(tensors.target).reshape(classes.select(dim, 0).shape)
        read = (target != options.ignore_index).unsqueeze(dim)
        values, classes = torch.where(read, values, 0.0), torch.where(read, classes, -1)
    pad = layout.widen_index
    return (
        torch.stack([pad(column) for column in values.unbind(dim)], -1),
        torch.stack([pad(column, -1) for column in classes.unbind(dim)], -1),
    )


class _Flat:
    """The call with one leading dimension of rows: input (n, H), everything per row (n, d1, ..., dK)."""

    def __init__(self, tensors: LinearTensors, layout: Layout) -> None:
        classes_last = layout.class_dim == len(layout.shape) - 1
        lead = layout.class_dim if classes_last else 1
        self.tail = layout.index_shape[lead:]
        self.rows = math.prod(layout.index_shape[:lead])
        if layout.shift:
            self.rows -= layout.unread * math.prod(layout.index_shape[:-1])
        input = tensors.input
        if layout.unread:
            input = input.narrow(-2, 0, input.shape[-2] - layout.unread)
        target, is_index = tensors.target, not tensors.target.is_floating_point()
        narrow = layout.narrow_index(target) if is_index else layout.narrow_input(target, offset=layout.unread)
        scale = tensors.logit_scale
        if isinstance(scale, Tensor) and scale.dim():
            scale = layout.narrow_index(scale).reshape(self.rows, *self.tail)
        self.is_index = is_index
        self.target = narrow.reshape(self.rows, *(self.tail if is_index else (layout.classes, *self.tail)))
        self.scale = scale
        self.tensors = tensors._replace(
            input=input.reshape(self.rows, input.shape[-1]), target=self.target, logit_scale=self.scale
        )

    def part(self, start: int, rows: int) -> LinearTensors:
        """The call on the rows from start on."""
        stop = min(start + rows, self.rows)
        scale = self.scale
        return self.tensors._replace(
            input=self.tensors.input[start:stop],
            target=self.target[start:stop],
            logit_scale=scale[start:stop] if isinstance(scale, Tensor) and scale.dim() else scale,
        )


def _checkpointed(part: LinearTensors, options: LossOptions, readouts: bool) -> RowTerms:
    def run(*arguments: Tensor) -> RowTerms:
        own = LinearTensors(*arguments)
        return composite.row_terms(
            make_logits(own),
            own.target,
            own.weight,
            composite.as_scale(own.logit_scale, own.input),
            1,
            options.ignore_index,
            float(options.label_smoothing),
            float(options.softcap or 0.0),
            float(options.z_loss),
            False,
            readouts,
        )

    return cast(RowTerms, checkpoint(run, *part, use_reentrant=False, preserve_rng_state=False))


def _finish(
    tensors: LinearTensors,
    options: LossOptions,
    layout: Layout,
    result_dtype: torch.dtype,
    terms: RowTerms,
    flat: _Flat,
    readouts: bool,
) -> tuple[Tensor, ...]:
    weight, below = tensors.sample_weight, tensors.denominator
    if below is not None and not isinstance(below, Tensor):
        below = torch.full((), below, dtype=terms.row.dtype, device=terms.row.device)
    if weight is not None:
        weight = layout.narrow_index(weight).reshape(terms.row.shape)
    loss = composite.reduce(terms, weight, below, options.reduction, options.if_all_ignored == "zero")
    loss = layout.from_rows(loss) if options.reduction == "none" else loss
    if not readouts:
        return (loss.to(result_dtype),)
    wanted = flat.target if flat.is_index else flat.target.detach().max(1).indices
    correct = torch.logical_and(terms.read, terms.predicted == wanted)
    return (
        loss.to(result_dtype),
        *(layout.from_rows(term) for term in (terms.nll, terms.logsumexp, terms.entropy, terms.z_loss)),
        layout.from_rows(torch.where(terms.read, terms.predicted, -1), -1),
        layout.from_rows(correct, False),
        layout.from_rows(torch.where(terms.read, terms.rank, -1), -1),
    )
