"""Gradient filtering: columns of a chunk's gradient that are next to nothing take no part in its products.

In a trained model a row's softmax is spread over few of the classes. A block is the rows of one chunk by one class; it
is skipped where every element of it is smaller than ``eps`` times the least upstream gradient of a row, ``u``. What
remains is gathered into smaller products::

    d hidden = d logits[:, kept] @ W[kept]          d W[kept] += d logits[:, kept].T @ hidden

So no dropped element reaches ``eps * u``, and

    |error of d hidden_i|  <=  eps * u * sum over the classes that are skipped of |W_c|
    |error of d W_c|       <=  eps * u * sum over the rows where c is skipped of |hidden_i|

The loss, the read-outs and the gradient of the bias are exact. (Cut Cross-Entropy, arXiv:2411.09009, section 4.3, skips
tiles of 128 x 128 in a sorted vocabulary; gathering makes the class itself the unit, and nothing is sorted.)
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor

from crossent import errors
from crossent.linear.plan import TEMPORARY_BYTES

AUTO = "auto"
WORTH = 0.6  # of the classes: where more are kept, gathering them costs more than it saves


class Count:
    """Blocks that were looked at, and those that were skipped."""

    def __init__(self) -> None:
        self.blocks = self.skipped = 0

    @property
    def fraction(self) -> float:
        """Skipped blocks among all."""
        return self.skipped / max(1, self.blocks)


_counts: tuple[Count, ...] = ()


@contextmanager
def counting() -> Generator[Count]:
    """Counts what is skipped in this process meanwhile::

    with crossent.linear.filtering.counting() as count:
        loss.backward()
    print(count.fraction)
    """
    global _counts
    mine = Count()
    _counts = (*_counts, mine)
    try:
        yield mine
    finally:
        _counts = tuple(other for other in _counts if other is not mine)


def checked(eps: Any, dtype: torch.dtype) -> float:
    """``filter_eps=`` as a number, 0 for none; "auto": 1/32 of the spacing of numbers at 1 in the products' dtype."""
    if eps is None:
        return 0.0
    if eps == AUTO:
        return torch.finfo(dtype).eps / 32
    if not isinstance(eps, float | int) or isinstance(eps, bool) or not 0 <= eps < 1:
        raise errors.refuse("XEN030", option="filter_eps", came=eps, expected="None, 'auto', or a number in [0, 1)")
    return float(eps)


def least(eps: float, upstream: Tensor) -> Tensor | None:
    """What an element of the gradient must reach for its column to be kept; None: every column is."""
    if not eps or not upstream.numel():
        return None
    size = upstream.abs()
    smallest = torch.where(size == 0, torch.inf, size).amin()  # rows without a say have no gradient either
    return eps * torch.where(smallest.isinf(), 0.0, smallest)


def kept_columns(d_logits: Tensor, smallest: Tensor) -> Tensor | None:
    """The columns of (n, P) with an element of at least that size (a NaN is one); None: nearly all of them."""
    size = cast(Tensor, torch.linalg.vector_norm(d_logits, torch.inf, 0))  # pyright: ignore[reportUnknownMemberType]
    kept = (size < smallest).logical_not_().nonzero().squeeze(1)
    alone = kept.shape[0] <= WORTH * size.shape[0]
    for count in _counts:
        count.blocks += size.shape[0]
        count.skipped += size.shape[0] - kept.shape[0] if alone else 0
    return kept if alone else None


def products(
    d_logits: Tensor, hidden: Tensor, projection: Tensor, kept: Tensor, total: Tensor | None, *, wants_hidden: bool
) -> Tensor | None:
    """The products over the kept columns alone: d hidden in float32 (float64), if wanted, and ``total`` (V * D, H) +=.

    In slabs, so that what is gathered stays small and in cache.
    """
    wide = torch.promote_types(d_logits.dtype, torch.float32)
    d_hidden = torch.zeros(hidden.shape, dtype=wide, device=hidden.device) if wants_hidden else None
    slab = max(1, TEMPORARY_BYTES // max(1, max(hidden.shape) * hidden.element_size()))
    for begin in range(0, kept.shape[0], slab):
        part = kept[begin : begin + slab]
        columns = d_logits.index_select(1, part)
        if d_hidden is not None:
            rows = projection.index_select(0, part)
            if wide == rows.dtype:
                d_hidden.addmm_(columns, rows)
            else:
                d_hidden += torch.mm(columns, rows)
        if total is not None:
            total.index_add_(0, part, torch.mm(columns.t(), hidden).to(total.dtype))
    return d_hidden
