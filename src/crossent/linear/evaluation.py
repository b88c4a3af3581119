"""One evaluation of a linear loss: the call, its rows, their weights and the denominator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crossent.backends.protocol import Backend
from crossent.linear.head import Head, LinearTensors, head_of
from crossent.linear.plan import LinearPlan
from crossent.options import LossOptions
from crossent.problem import Layout, number_on, share_of_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearCall:
    """Everything about a call but its tensors. Kept on the autograd node as ``crossent_call``.

    ``node.saved_tensors[0]`` are the hidden states as the caller passed them, ``[1]`` the weight, ``[2]`` the target.
    """

    options: LossOptions
    layout: Layout  # of the logits that are never made
    backend: Backend
    plan: LinearPlan
    budget: int | None
    result_dtype: torch.dtype
    dtype: torch.dtype  # of the products
    filter_eps: float = 0.0  # columns of smaller softmax take no part in a chunk's products (filtering.py)
    readouts: bool = False
    valid_rows: int | None = None  # the caller's promise of how many rows have a target
    top_k: int = 0  # with readouts: how many of the most probable classes are returned too
    records: bool = True  # whether a backward can follow: grad mode was on
    function: str = "linear_cross_entropy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One evaluation: a call with its rows, their weights and the denominator."""

    call: LinearCall
    tensors: LinearTensors
    head: Head
    weight: Tensor | None  # (n, D) sample weights, 0 where a row is not read
    below: Tensor | None  # 0-d: what a mean divides by

    def promised(self, number: Tensor) -> Tensor:
        """The same, or NaN where the promise of ``valid_rows`` was broken."""
        return number if self.head.kept_promise is None else number * self.head.kept_promise

    def upstream(self, gradient: Tensor, weight: Tensor | None) -> Tensor:
        """(n, D): the upstream gradient of every row, before or after its sample weight."""
        head = self.head
        gradient = self.promised(gradient.to(head.problem.compute_dtype))
        if self.call.options.reduction == "none":
            rows = head.pick(self.call.layout, gradient)
        else:
            over = gradient if self.below is None else gradient / self.below
            rows = over.expand(head.rows, head.inner)
        return rows.contiguous() if weight is None else rows * weight


def prepare(call: LinearCall, tensors: LinearTensors, below: Tensor | None = None) -> Call:
    head = head_of(tensors, call.options, call.layout, call.dtype, call.valid_rows, counted=call.plan.counted is True)
    weight = None
    if tensors.sample_weight is not None:
        weight = head.pick(call.layout, tensors.sample_weight.detach())
        if head.problem.is_index:
            weight = torch.where(head.problem.target == head.problem.skip, 0.0, weight)
    if below is None and call.options.reduction == "mean":
        below = denominator(call, tensors, head, weight)
    return Call(call=call, tensors=tensors, head=head, weight=weight, below=below)


def denominator(call: LinearCall, tensors: LinearTensors, head: Head, weight: Tensor | None) -> Tensor:
    """What a mean divides by, as a 0-d tensor on the head's device."""
    problem, given = head.problem, tensors.denominator
    if given is not None:
        below = number_on(given, problem.compute_dtype, head.hidden.device)
    else:
        share = share_of_rows(problem)
        below = (share if weight is None else share * weight).sum()
    if call.options.if_all_ignored != "zero":
        return below
    if not problem.is_index:
        return below if head.rows else torch.ones_like(below)
    return torch.where((problem.target != problem.skip).sum() == 0, torch.ones_like(below), below)
