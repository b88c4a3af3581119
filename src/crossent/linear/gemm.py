"""The three products of a chunk, and where their sums are kept.

A gradient of the weight is summed over chunks in ``accumulate``'s dtype. CPU products of 16-bit matrices
have 16-bit results, so a float32 sum takes them slab by slab: each slab of classes is multiplied into a
temporary that stays in cache and is added from there. cuBLAS adds to float32 by itself.

Logits of a chunk are made slab by slab, too: multiplied as a whole, few rows need up to a quarter more time than
their share of one large product, for every chunk reads and reorders the whole weight (float32; measured).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crossent import internals
from crossent.backends.protocol import Backend
from crossent.linear import counted
from crossent.linear.head import Head
from crossent.linear.plan import SLAB_BYTES, TEMPORARY_BYTES
from crossent.linear.target_column import TargetColumn


class Wants(NamedTuple):
    """Which gradients are asked for."""

    hidden: bool = False
    projection: bool = False
    bias: bool = False
    target: bool = False  # probabilities
    scale: bool = False  # logit_scale

    @property
    def products(self) -> bool:
        """Whether any gradient needs the gradient of the logits consumed."""
        return self.hidden or self.projection or self.bias


class Gradients(NamedTuple):
    """Sums of gradients in the shapes of a :class:`Head`; None where not asked for.

    ``scale`` is (n, D), ``target`` (n, V, D).
    """

    hidden: Tensor | None = None
    projection: Tensor | None = None
    bias: Tensor | None = None
    target: Tensor | None = None
    scale: Tensor | None = None


def make_logits(head: Head, hidden: Tensor, out: Tensor, first: int = 0, last: int | None = None) -> Tensor:
    """hidden @ projection[first:last].T + bias into ``out``."""
    last = head.projection.shape[0] if last is None else last
    slab = max(1, slab_of(head) or last - first)
    for begin in range(first, last, slab):
        end = min(begin + slab, last)
        projection, part = head.projection[begin:end].t(), out[:, begin - first : end - first]
        if head.bias is None:
            torch.mm(hidden, projection, out=part)
        else:
            torch.addmm(head.bias[begin:end], hidden, projection, out=part)
    return out


def slab_of(head: Head) -> int | None:
    """Outputs that are multiplied at a time; None: all of them."""
    if head.dtype.itemsize < 4 or head.projection.device.type != "cpu":
        return None
    return max(1, SLAB_BYTES // max(1, head.projection.shape[1] * head.dtype.itemsize))


def empty_gradients(head: Head, backend: Backend, wants: Wants, accumulate: torch.dtype) -> Gradients:
    """Zeros for every gradient that sums over chunks; memory for those that do not."""
    outputs, device, compute = head.projection.shape[0], head.projection.device, head.problem.compute_dtype
    every_row = head.source is None
    return Gradients(
        hidden=_like(head.hidden, zero=not every_row) if wants.hidden else None,
        projection=backend.empty(tuple(head.projection.shape), accumulate, device) if wants.projection else None,
        bias=torch.zeros(outputs, dtype=compute, device=device) if wants.bias else None,
        target=torch.empty(head.problem.target.shape, dtype=head.problem.target.dtype, device=device)
        if wants.target
        else None,
        scale=torch.empty((head.rows, head.inner), dtype=compute, device=device) if wants.scale else None,
    )


def _like(hidden: Tensor, *, zero: bool) -> Tensor:
    make = torch.zeros if zero else torch.empty
    return make(hidden.shape, dtype=hidden.dtype, device=hidden.device)


def add_hidden(
    head: Head, total: Tensor, d_logits: Tensor, start: int, stop: int, column: TargetColumn | None, hidden: Tensor
) -> None:
    """d hidden of rows start to stop = d logits @ projection, and the targets' column where that is kept apart.

    ``hidden``: of these rows, no longer needed; overwritten where they are a copy.
    """
    count = head.counted(start, stop)
    if count is not None:
        store_hidden(head, total, counted.d_hidden(d_logits, head.projection, count), start, stop)
        return
    if head.source is None and total.dtype == d_logits.dtype and column is None:
        torch.mm(d_logits, head.projection, out=total[start:stop])
        return
    d_hidden = torch.mm(d_logits, head.projection, out=hidden if head.source is not None else None)
    if column is not None:
        d_hidden = column.add_to_hidden(d_hidden, head.projection)
    store_hidden(head, total, d_hidden, start, stop)


def store_hidden(head: Head, total: Tensor, d_hidden: Tensor, start: int, stop: int) -> None:
    """Put the gradient of rows start to stop where their hidden states came from."""
    if head.source is None:
        total[start:stop] = d_hidden
    else:
        total.index_copy_(0, head.source[start:stop], d_hidden.to(total.dtype))


def add_projection(
    total: Tensor, d_logits: Tensor, hidden: Tensor, *, first: bool, count: Tensor | None = None
) -> None:
    """total += d logits.T @ hidden (of ``count`` rows); ``first``: the old content of ``total`` is not read."""
    if count is not None:
        counted.add_projection(total, d_logits, hidden, count, first=first)
        return
    if total.dtype == d_logits.dtype:
        total.addmm_(d_logits.t(), hidden, beta=0 if first else 1)
        return
    if total.dtype == torch.float32 and internals.sums_in_float32(hidden.device, hidden.dtype):
        torch.ops.aten.addmm.dtype_out(
            total, d_logits.t(), hidden, torch.float32, beta=0 if first else 1, alpha=1, out=total
        )
        return
    wide = 3 if hidden.dtype == torch.float16 else 1  # torch makes it in float32 first
    slab = max(1, TEMPORARY_BYTES // max(1, wide * hidden.shape[1] * hidden.element_size()))
    temporary = hidden.new_empty(min(slab, total.shape[0]), hidden.shape[1])
    for begin in range(0, total.shape[0], slab):
        part = total[begin : begin + slab]
        product = torch.mm(d_logits[:, begin : begin + slab].t(), hidden, out=temporary[: part.shape[0]])
        if first:
            part.copy_(product)
        else:
            part.add_(product)


def add_bias(total: Tensor, d_logits: Tensor) -> None:
    """total += sum over rows of d logits."""
    total += d_logits.sum(0, dtype=total.dtype)
