"""A checked call meets its backend: run by the autograd function, refused in torch's words, reported."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from crossent import dispatch, handover, problem
from crossent.autograd import LossCall, RowLoss
from crossent.backends.protocol import Backend, TargetOutOfRange
from crossent.options import LossOptions
from crossent.problem import Layout, LossTensors


def row_loss(
    function: str,
    tensors: LossTensors,
    options: LossOptions,
    layout: Layout,
    dtype: torch.dtype,
    backend: Backend,
    readouts: bool = False,
    reason: str | None = None,
) -> tuple[Tensor, ...]:
    """A loss whose arguments were checked: (loss,), or (loss, *readouts.FIELDS).

    ``reason``: why ``backend`` is not the device's engine, for the listeners.
    """
    call = LossCall(
        function=function,
        options=options,
        layout=layout,
        backend=backend,
        result_dtype=dtype,
        readouts=readouts,
        records=torch.is_grad_enabled(),
    )
    try:
        answer = cast(Any, RowLoss.apply(call, *tensors))
    except TargetOutOfRange as found:
        raise handover.refuse_range(function, tensors, options, layout, found.row) from None
    handover.notify(function, tensors.input, backend.name, reason)
    return answer if readouts else (answer,)


def loss(function: str, tensors: LossTensors, options: LossOptions) -> Tensor:
    """What an operator of ``ops.py`` does: checks were made while tracing, ``out_dtype`` is decided."""
    layout = problem.layout_of(function, tensors, options, casts=True)
    assert layout is not None and options.out_dtype is not None
    backend, _ = dispatch.choose(options.backend, tensors.input.device, tensors.input.dtype)
    return row_loss(function, tensors, options, layout, options.out_dtype, backend)[0]
