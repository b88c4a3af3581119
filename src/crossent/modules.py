"""The losses as modules: subclasses of torch's, so isinstance checks, state_dict, pickle and repr go on working.

Number-like options are constructor arguments and plain attributes, read at every forward as torch reads
``reduction``. What changes from call to call is an argument of ``forward``.
"""

# No `from __future__ import annotations`: TorchScript reads the annotations.
from typing import Any, Optional, Union

import torch
from torch import Tensor

from crossent import functional, problem
from crossent.options import LossOptions, checked

_DEFAULTS = {
    "logit_scale": None, "denominator": None, "softcap": None, "z_loss": 0.0, "out_dtype": None,
    "if_all_ignored": "nan", "class_dim": None, "shift": 0, "inplace": False, "backend": None,
}  # fmt: skip


_TORCHS = {"ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}


def _extra_repr(module: torch.nn.Module) -> str:
    """Options that differ from their defaults; torch's own, which torch never shows, only beside one of crossent's."""
    ours, torchs = (
        [
            f"{name}={getattr(module, name, default)!r}"
            for name, default in defaults.items()
            if getattr(module, name, default) != default
        ]
        for defaults in (_DEFAULTS, _TORCHS)
    )
    return ", ".join([*torchs, *ours] if ours else ours)


def refuse_bad_values(module: torch.nn.Module) -> None:
    """A bad value is refused where it is written, not where the module is called; calls check again."""
    values = vars(module)
    options = {name: values[name] for name in LossOptions.__dataclass_fields__ if name in values}
    checked(LossOptions(**options))
    if values.get("denominator") is not None:
        problem.check_denominator(values["denominator"], values["reduction"])


class CrossEntropyLoss(torch.nn.CrossEntropyLoss):
    r"""Module twin of :func:`crossent.cross_entropy`, and a :class:`torch.nn.CrossEntropyLoss`.

    Args:
        weight, size_average, ignore_index, reduce, reduction, label_smoothing: torch's.
        logit_scale, denominator, softcap, z_loss, out_dtype, if_all_ignored, class_dim, shift, inplace,
            backend: keyword-only options of :func:`crossent.cross_entropy`. ``logit_scale`` and ``denominator`` given
            to ``forward`` take precedence.

    Shape:
        ``forward(input, target, sample_weight=None, logit_scale=None, denominator=None)`` as the function.

    Example:
        >>> import torch, crossent
        >>> loss = crossent.CrossEntropyLoss(label_smoothing=0.1, class_dim=-1)
        >>> logits = torch.zeros(2, 5, 7)  # (B, T, V)
        >>> loss(logits, torch.zeros(2, 5, dtype=torch.long))
        tensor(1.9459)

    Source: torch/nn/modules/loss.py (semantics mirrored).
    """

    __constants__ = ["ignore_index", "label_smoothing", "reduction", *_DEFAULTS]
    logit_scale: Optional[float]
    denominator: Optional[float]
    softcap: Optional[float]
    z_loss: float
    out_dtype: Optional[torch.dtype]
    if_all_ignored: str
    class_dim: Optional[int]
    shift: int
    inplace: bool
    backend: Optional[str]

    def __init__(
        self,
        weight: Optional[Tensor] = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        logit_scale: Optional[float] = None,
        denominator: Optional[float] = None,
        softcap: Optional[float] = None,
        z_loss: float = 0.0,
        out_dtype: Optional[torch.dtype] = None,
        if_all_ignored: str = "nan",
        class_dim: Optional[int] = None,
        shift: int = 0,
        inplace: bool = False,
        backend: Optional[str] = None,
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction, label_smoothing)
        self.logit_scale = logit_scale
        self.denominator = denominator
        self.softcap = softcap
        self.z_loss = z_loss
        self.out_dtype = out_dtype
        self.if_all_ignored = if_all_ignored
        self.class_dim = class_dim
        self.shift = shift
        self.inplace = inplace
        self.backend = backend
        refuse_bad_values(self)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        sample_weight: Optional[Tensor] = None,
        logit_scale: Optional[Tensor] = None,
        denominator: Optional[Tensor] = None,
    ) -> Tensor:
        """The loss; see the class."""
        scale: Union[float, Tensor, None] = logit_scale
        if logit_scale is None:
            scale = self.logit_scale
        below: Union[float, Tensor, None] = denominator
        if denominator is None:
            below = self.denominator
        return functional.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing, sample_weight=sample_weight, denominator=below, logit_scale=scale,
            softcap=self.softcap, z_loss=self.z_loss, out_dtype=self.out_dtype, if_all_ignored=self.if_all_ignored,
            class_dim=self.class_dim, shift=self.shift, inplace=self.inplace, backend=self.backend,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """crossent's options that are not at their defaults."""
        return _extra_repr(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**_DEFAULTS, **state})  # a module pickled before an option existed


class NLLLoss(torch.nn.NLLLoss):
    r"""Module twin of :func:`crossent.nll_loss`, and a :class:`torch.nn.NLLLoss`: takes log-probabilities.

    Args:
        weight, size_average, ignore_index, reduce, reduction: torch's.
        denominator, out_dtype, if_all_ignored, class_dim, shift, backend: keyword-only numbers of
            :func:`crossent.nll_loss`; a ``denominator`` given to ``forward`` takes precedence.

    Shape:
        ``forward(input, target, sample_weight=None, denominator=None)`` as the function.

    Example:
        >>> import torch, crossent
        >>> crossent.NLLLoss()(torch.log(torch.tensor([[0.5, 0.5]])), torch.tensor([1]))
        tensor(0.6931)

    Source: torch/nn/modules/loss.py (semantics mirrored).
    """

    __constants__ = ["ignore_index", "reduction", "denominator", "out_dtype", "if_all_ignored", "class_dim", "shift",
                     "backend"]  # fmt: skip
    denominator: Optional[float]
    out_dtype: Optional[torch.dtype]
    if_all_ignored: str
    class_dim: Optional[int]
    shift: int
    backend: Optional[str]

    def __init__(
        self,
        weight: Optional[Tensor] = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        *,
        denominator: Optional[float] = None,
        out_dtype: Optional[torch.dtype] = None,
        if_all_ignored: str = "nan",
        class_dim: Optional[int] = None,
        shift: int = 0,
        backend: Optional[str] = None,
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction)
        self.denominator = denominator
        self.out_dtype = out_dtype
        self.if_all_ignored = if_all_ignored
        self.class_dim = class_dim
        self.shift = shift
        self.backend = backend
        refuse_bad_values(self)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        sample_weight: Optional[Tensor] = None,
        denominator: Optional[Tensor] = None,
    ) -> Tensor:
        """The loss; see the class."""
        below: Union[float, Tensor, None] = denominator
        if denominator is None:
            below = self.denominator
        return functional.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            sample_weight=sample_weight, denominator=below, out_dtype=self.out_dtype,
            if_all_ignored=self.if_all_ignored, class_dim=self.class_dim, shift=self.shift, backend=self.backend,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """crossent's options that are not at their defaults."""
        return _extra_repr(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**_DEFAULTS, **state})


class LogSoftmax(torch.nn.LogSoftmax):
    r"""Module twin of :func:`crossent.log_softmax`, and a :class:`torch.nn.LogSoftmax`.

    Args:
        dim: the class dimension.
        logit_scale, softcap, backend: keyword-only numbers of :func:`crossent.log_softmax`.

    Shape:
        ``forward(input)``: any shape to the same shape.

    Example:
        >>> import torch, crossent
        >>> crossent.LogSoftmax(dim=1)(torch.zeros(1, 2))
        tensor([[-0.6931, -0.6931]])

    Source: torch/nn/modules/activation.py (semantics mirrored).
    """

    __constants__ = ["dim", "logit_scale", "softcap", "backend"]
    logit_scale: Optional[float]
    softcap: Optional[float]
    backend: Optional[str]

    def __init__(
        self,
        dim: Optional[int] = None,
        *,
        logit_scale: Optional[float] = None,
        softcap: Optional[float] = None,
        backend: Optional[str] = None,
    ) -> None:
        super().__init__(dim)
        self.logit_scale = logit_scale
        self.softcap = softcap
        self.backend = backend
        refuse_bad_values(self)

    def forward(self, input: Tensor) -> Tensor:
        """log softmax; see the class."""
        return functional.log_softmax(
            input, self.dim, _stacklevel=5, logit_scale=self.logit_scale, softcap=self.softcap, backend=self.backend
        )

    def extra_repr(self) -> str:
        """torch's ``dim``, then crossent's options that are not at their defaults."""
        return ", ".join(part for part in (super().extra_repr(), _extra_repr(self)) if part)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**_DEFAULTS, **state})
