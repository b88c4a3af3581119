"""The three products of a chunk, and where their sums are kept.

A gradient of the weight is summed over chunks in ``accumulate``'s dtype. CPU products of 16-bit matrices
have 16-bit results, so a float32 sum takes them slab by slab: each slab of classes is multiplied into a
temporary that stays in cache and is added from there.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crossent.linear.head import Head
from crossent.linear.plan import TEMPORARY_BYTES


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
    projection = head.projection[first:last].t()
    if head.bias is None:
        return torch.mm(hidden, projection, out=out)
    return torch.addmm(head.bias[first:last], hidden, projection, out=out)


def empty_gradients(head: Head, wants: Wants, accumulate: torch.dtype) -> Gradients:
    """Zeros for every gradient that sums over chunks; memory for those that do not."""
    outputs, device, compute = head.projection.shape[0], head.projection.device, head.problem.compute_dtype
    every_row = head.source is None
    return Gradients(
        hidden=_like(head.hidden, zero=not every_row) if wants.hidden else None,
        projection=torch.empty(head.projection.shape, dtype=accumulate, device=device) if wants.projection else None,
        bias=torch.zeros(outputs, dtype=compute, device=device) if wants.bias else None,
        target=torch.empty(head.problem.target.shape, dtype=head.problem.target.dtype, device=device)
        if wants.target
        else None,
        scale=torch.empty((head.rows, head.inner), dtype=compute, device=device) if wants.scale else None,
    )


def _like(hidden: Tensor, *, zero: bool) -> Tensor:
    make = torch.zeros if zero else torch.empty
    return make(hidden.shape, dtype=hidden.dtype, device=hidden.device)


def add_hidden(head: Head, total: Tensor, d_logits: Tensor, start: int, stop: int) -> None:
    """d hidden of rows start to stop = d logits @ projection."""
    if head.source is None and total.dtype == d_logits.dtype:
        torch.mm(d_logits, head.projection, out=total[start:stop])
        return
    store_hidden(head, total, torch.mm(d_logits, head.projection), start, stop)


def store_hidden(head: Head, total: Tensor, d_hidden: Tensor, start: int, stop: int) -> None:
    """Put the gradient of rows start to stop where their hidden states came from."""
    if head.source is None:
        total[start:stop] = d_hidden
    else:
        total.index_copy_(0, head.source[start:stop], d_hidden.to(total.dtype))


def add_projection(total: Tensor, d_logits: Tensor, hidden: Tensor, *, first: bool) -> None:
    """total += d logits.T @ hidden; ``first``: the old content of ``total`` is not read."""
    if total.dtype == d_logits.dtype:
        total.addmm_(d_logits.t(), hidden, beta=0 if first else 1)
        return
    slab = max(1, TEMPORARY_BYTES // max(1, hidden.shape[1] * hidden.element_size()))
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
