"""What was asked for: plain values, checked once, before any tensor is touched.

A value that torch has too (``reduction``, ``ignore_index``, ``label_smoothing``) is *not* refused
here: torch refuses it with its own words (``errors.py``). Only what torch does not know is checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

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
            and self.z_loss == 0.0
            and self.out_dtype is None
            and self.if_all_ignored == "nan"
            and self.class_dim is None
            and self.shift == 0
        )


def check(options: LossOptions) -> None:
    """Refuse values that torch has no word for."""
    if options.is_torch and options.backend is None and not options.inplace:
        return
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
