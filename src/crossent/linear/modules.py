"""A linear head with its loss as one module: torch's ``LinearCrossEntropyLoss``, with crossent's options."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.modules.loss import _WeightedLoss  # pyright: ignore[reportPrivateUsage]

from crossent import problem
from crossent.linear import call, functional

_DEFAULTS = {
    "logit_scale": None, "denominator": None, "softcap": None, "z_loss": 0.0, "out_dtype": None,
    "if_all_ignored": "nan", "shift": None, "memory_budget": None, "filter_eps": None, "backend": None,
}  # fmt: skip


class _BeforeTorch213(_WeightedLoss):
    """What ``torch.nn.LinearCrossEntropyLoss`` keeps, for a torch that does not have it."""

    def __init__(
        self, in_features: int, num_classes: int, *, out_features: tuple[int, ...] = (), bias: bool = False,
        device: Any = None, dtype: Any = None, reduction: str = "mean", weight: Tensor | None = None,
        ignore_index: int | None = None, label_smoothing: float = 0.0, options: Any = None,
    ) -> None:  # fmt: skip
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if label_smoothing < 0 or label_smoothing > 1.0:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        super().__init__(weight, None, None, reduction)
        self.num_classes, self.out_features = num_classes, out_features
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options
        outputs = math.prod(out_features, start=num_classes)
        self.linear = torch.nn.Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)

    def extra_repr(self) -> str:
        names = ("num_classes", "out_features", "reduction", "ignore_index", "label_smoothing", "options")
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"in_features={self.linear.in_features}, {shown}"


_Base: type[Any] = getattr(torch.nn, "LinearCrossEntropyLoss", _BeforeTorch213)


class LinearCrossEntropyLoss(_Base):
    r"""Module twin of :func:`crossent.linear_cross_entropy`, and a ``torch.nn.LinearCrossEntropyLoss``.

    Keeps an :class:`torch.nn.Linear` in ``.linear``; its ``weight`` is ``(C * d1 * ... * dK, H)``, so
    state_dict is torch's.

    Args:
        in_features, num_classes, out_features, bias, device, dtype, reduction, weight, ignore_index,
            label_smoothing, options: torch's.
        logit_scale, denominator, softcap, z_loss, out_dtype, if_all_ignored, shift, memory_budget, filter_eps,
            backend: keyword-only numbers of :func:`crossent.linear_cross_entropy`. ``logit_scale`` and ``denominator``
            given to ``forward`` take precedence.

    Shape:
        ``forward(input, target, sample_weight=None, logit_scale=None, denominator=None, valid_rows=None)`` as the
        function.

    Example:
        >>> import torch, crossent
        >>> loss = crossent.LinearCrossEntropyLoss(4, 10, bias=True, shift=1)
        >>> loss(torch.zeros(2, 5, 4), torch.zeros(2, 5, dtype=torch.long)).shape
        torch.Size([])

    Source: torch/nn/modules/loss.py (semantics mirrored).
    """

    def __init__(
        self, in_features: int, num_classes: int, *, out_features: tuple[int, ...] = (), bias: bool = False,
        device: Any = None, dtype: Any = None, reduction: str = "mean", weight: Tensor | None = None,
        ignore_index: int | None = None, label_smoothing: float = 0.0, options: Any = None,
        logit_scale: float | None = None, denominator: float | None = None, softcap: float | None = None,
        z_loss: float = 0.0, out_dtype: torch.dtype | None = None, if_all_ignored: str = "nan",
        shift: int | None = None, memory_budget: int | None = None, filter_eps: float | str | None = None,
        backend: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_features, num_classes, out_features=out_features, bias=bias, device=device, dtype=dtype,
            reduction=reduction, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing,
            options=options,
        )  # fmt: skip
        self.logit_scale, self.denominator, self.softcap, self.z_loss = logit_scale, denominator, softcap, z_loss
        self.out_dtype, self.if_all_ignored, self.shift = out_dtype, if_all_ignored, shift
        self.memory_budget, self.filter_eps, self.backend = memory_budget, filter_eps, backend
        self._refuse_bad_values()

    def _refuse_bad_values(self) -> None:
        """A bad value is refused where it is written, not where the module is called; calls check again."""
        request = functional.request_of(
            self.options, self.memory_budget, self.shift, self.ignore_index, filter_eps=self.filter_eps,
            reduction="mean", softcap=self.softcap, z_loss=self.z_loss, out_dtype=self.out_dtype,
            if_all_ignored=self.if_all_ignored, backend=self.backend,
        )  # fmt: skip
        call.checked_values(request)
        if self.denominator is not None:
            problem.check_denominator(self.denominator, self.reduction)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        logit_scale: Tensor | None = None,
        denominator: Tensor | None = None,
        valid_rows: int | None = None,
    ) -> Tensor:
        """The loss; see the class."""
        weight, bias, outputs = self.linear.weight, self.linear.bias, (self.num_classes, *self.out_features)
        if self.out_features:
            weight = weight.reshape(*outputs, self.linear.in_features)
            bias = None if bias is None else bias.reshape(outputs)
        return functional.linear_cross_entropy(
            input, weight, target, linear_bias=bias, weight=self.weight, reduction=self.reduction,
            ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, options=self.options,
            sample_weight=sample_weight, denominator=self.denominator if denominator is None else denominator,
            logit_scale=self.logit_scale if logit_scale is None else logit_scale, softcap=self.softcap,
            z_loss=self.z_loss, out_dtype=self.out_dtype, if_all_ignored=self.if_all_ignored, shift=self.shift,
            valid_rows=valid_rows, memory_budget=self.memory_budget, filter_eps=self.filter_eps,
            backend=self.backend,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """torch's, then crossent's options that are not at their defaults."""
        shown = ((name, getattr(self, name, default), default) for name, default in _DEFAULTS.items())
        ours = ", ".join(f"{name}={value!r}" for name, value, default in shown if value != default)
        theirs = cast(str, super().extra_repr())
        return f"{theirs}, {ours}" if ours else theirs

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**_DEFAULTS, **state})  # a module pickled before an option existed
