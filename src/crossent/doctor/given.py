"""What the doctor's functions are given by hand, refused in words where it is something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from torch import Tensor

from crossent import errors

_Value = TypeVar("_Value")


def tensor(which: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise errors.refuse("XEN020", which=which, came_type=type(value).__name__)
    return value


def whole(option: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or value < least:
        raise unfit(option, value, f"a whole number from {least} on")
    return value


def function(option: str, value: Any, what: str) -> Callable[..., Any]:
    if not callable(value):
        raise unfit(option, value, what)
    return value


def mapping(option: str, value: Any, what: str) -> Mapping[str, Any]:
    if not hasattr(value, "get"):  # Hugging Face's BatchEncoding is none of Mapping
        raise unfit(option, value, what)
    return cast("Mapping[str, Any]", value)


def sequence(option: str, value: Any, least: int, what: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(cast("Sequence[Any]", value)) < least:
        raise unfit(option, value, what)
    return cast("Sequence[Any]", value)


def instance(option: str, value: Any, of: type[_Value], what: str) -> _Value:
    if not isinstance(value, of):
        raise unfit(option, value, what)
    return value


def unfit(option: str, value: Any, expected: str) -> Exception:
    """The refusal of an argument; of what is no plain value its type is named."""
    is_plain = isinstance(value, int | float | str) or value is None
    return errors.refuse(
        "XEN030", option=option, came=value if is_plain else type(value).__name__, expected=expected
    )  # fmt: skip
