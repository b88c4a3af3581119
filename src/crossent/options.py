"""What was asked for: plain values, checked once, before any tensor is touched.

A value that torch has too (``reduction``, ``ignore_index``, ``label_smoothing``) is *not* refused
here: torch refuses it with its own words (``errors.py``). Only what torch does not know is checked.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crossent import errors

OUT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
BACKENDS = ("reference", "cpu", "gpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """The number-like options of one loss. Defaults are torch's loss."""

    reduction: str = "mean"
    ignore_index: int = -100
    label_smoothing: float = 0.0
    softcap: float | None = None
    z_loss: float = 0.0
    out_dtype: torch.dtype | None = None
    if_all_ignored: str = "nan"
    class_dim: int | None = None
    shift: int = 0
    inplace: bool = False
    backend: str | None = None

    @property
    def is_torch(self) -> bool:
        """Whether torch's own function means the same (``backend`` says who computes, not what)."""
        return (
            self.softcap is None
            and is_zero(self.z_loss)
            and self.out_dtype is None
            and self.if_all_ignored == "nan"
            and self.class_dim is None
            and is_zero(self.shift)
        )


def is_zero(value: object) -> bool:
    """Whether an option is the number 0: None is not, nor is what has no truth value of its own (a long tensor)."""
    return type(value) in (int, float) and value == 0


def as_python(value: Any) -> Any:
    """A NumPy number, or a 0-d array of one, as Python's own; whatever else comes, as it came."""
    if value is None or isinstance(value, (int, float)):  # first: Dynamo's own numbers have no attributes
        return value
    kind = getattr(getattr(value, "dtype", None), "kind", None)  # torch's dtypes have none
    return value.item() if kind in ("i", "u", "f") and value.ndim == 0 else value


def checked(options: LossOptions) -> LossOptions:
    """The options with Python's numbers; values that torch has no word for are refused."""
    options = _torchs_numbers(options)
    if options.is_torch and options.backend is None and options.inplace is False:
        return options
    own = {name: as_python(getattr(options, name)) for name in ("softcap", "z_loss", "class_dim", "shift")}
    options = replace(options, **own)
    _check(options)
    return options


def _torchs_numbers(options: LossOptions) -> LossOptions:
    """ignore_index and label_smoothing in the other types that torch takes; what it refuses stays as it came."""
    index: Any = options.ignore_index
    smoothing: Any = options.label_smoothing
    if type(index) is int and type(smoothing) in (float, int):
        return options
    known = _from_tensor(index)
    index = known if type(known) is int else index
    if isinstance(smoothing, (Tensor, numbers.Real)):  # not an array
        smoothing = _from_tensor(smoothing)
    return replace(options, ignore_index=index, label_smoothing=smoothing)


def _from_tensor(value: Any) -> Any:
    """:func:`as_python` that knows 0-d tensors too."""
    is_number = type(value) is Tensor and value.dim() == 0 and value.is_cpu and not value.requires_grad
    return value.item() if is_number else as_python(value)


def _check(options: LossOptions) -> None:
    if options.softcap is not None:
        _number("softcap", options.softcap, positive=True)
    _number("z_loss", options.z_loss, positive=False)
    _choice("if_all_ignored", options.if_all_ignored, ("nan", "zero"))
    _choice("inplace", options.inplace, (False, True))
    _choice("backend", options.backend, (None, *BACKENDS))
    if options.out_dtype is not None and options.out_dtype not in OUT_DTYPES:
        raise errors.refuse("XEN030", option="out_dtype", came=options.out_dtype, expected="a floating point dtype")
    if options.class_dim is not None:
        _integer("class_dim", options.class_dim)
    _integer("shift", options.shift)
    if options.shift < 0:
        raise errors.refuse(
            "XEN030", option="shift", came=options.shift, expected="0 or a positive number of positions"
        )
    if options.shift and options.class_dim is None:
        raise errors.refuse("XEN031", came=options.shift)


def _number(name: str, value: object, *, positive: bool) -> None:
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not 0 <= number < math.inf or (positive and number == 0):
        expected = "a finite number " + ("> 0, or None for none" if positive else ">= 0")
        raise errors.refuse("XEN030", option=name, came=value, expected=expected)


def _integer(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise errors.refuse("XEN030", option=name, came=value, expected="an int")


def _choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise errors.refuse("XEN030", option=name, came=value, expected=" | ".join(map(repr, allowed)))
