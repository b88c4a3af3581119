"""Every refusal: what is wrong, what came, what is expected, what to write instead, and a code.

What torch refuses too is refused *by torch*: its own function is called with the same arguments,
raises its own type with its own first sentence in its own order of checks, and :func:`advise`
adds our lines below. So types and texts stay torch's in every version of torch. What only crossent
knows (its options, its backends) is refused by :func:`refuse`.

Codes are never renumbered. XEN0xx are refusals; XEN1xx and up are the findings of the doctor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from crossent import internals
from crossent.refusals import REFUSALS, example


def refuse(code: str, **facts: object) -> Exception:
    """The exception of one of crossent's own refusals, ready to be raised."""
    refusal = REFUSALS[code]
    facts.setdefault("example", example(facts.get("option")))
    exception = refusal.kind(refusal.wrong.format(**facts) + "\n" + _lines(code, None, facts))
    exception.crossent_code = code  # type: ignore[attr-defined]
    return exception


def is_refusal(exception: BaseException) -> bool:
    """Whether it was raised by :func:`refuse`, or has advice of ours."""
    return hasattr(exception, "crossent_code")


def _lines(code: str, came: str | None, facts: dict[str, object]) -> str:
    refusal = REFUSALS[code]
    lines = [f"  crossent {code} ({refusal.name})"]
    if came is not None:
        lines[0] += ": " + refusal.wrong.format(**facts)
        if came:
            lines.append("  came:     " + came)
    lines.append("  expected: " + refusal.expected.format(**facts))
    lines.append("  write:    " + refusal.instead.format(**facts))
    return "\n".join(lines)


def add_advice(exception: Exception, code: str, **facts: object) -> Exception:
    """Add the lines of a known refusal to an exception that torch raised; same object, same type."""
    if "crossent XEN" not in str(exception):
        exception.args = (f"{exception}\n{_lines(code, '', facts)}",)
        exception.crossent_code = code  # type: ignore[attr-defined]
    return exception


@dataclass(frozen=True, kw_only=True)
class CallFacts:
    """What a call looked like, for the advice: arguments as they came, torch's names."""

    function: str
    input: object
    target: object
    weight: object = None
    ignore_index: object = -100
    reduction: object = "mean"
    label_smoothing: object = 0.0
    class_dim: int | None = None
    unread: int = 0  # entries at the start of each sequence of targets that shift= leaves out
    came: str | None = None  # the call in words, where the user passed no logits


class LabelRange(NamedTuple):
    """The labels of a call that are read."""

    low: int
    high: int
    bad: int  # how many are out of range
    all: int  # how many there are, ignored ones included


def advise(exception: Exception, call: CallFacts) -> Exception:
    """Add crossent's lines to an exception that torch raised for this call; same object, same type."""
    code = diagnose(call)
    text = str(exception)
    if "crossent XEN" not in text:
        exception.args = (text + "\n" + _lines(code, _came(call), _facts(call)),)
        exception.crossent_code = code  # type: ignore[attr-defined]
    return exception


def diagnose(call: CallFacts) -> str:
    """Which refusal this call earns, from its arguments alone (never from torch's text)."""
    if not isinstance(call.input, Tensor) or not isinstance(call.target, Tensor):
        return "XEN020"
    if not (call.weight is None or isinstance(call.weight, Tensor)) or not _is_integer(call.ignore_index):
        return "XEN013"
    if not isinstance(call.label_smoothing, (int, float)):
        return "XEN013"
    if call.reduction not in ("none", "mean", "sum"):
        return "XEN014"
    if not call.input.is_floating_point():
        return "XEN017" if call.target.is_floating_point() else "XEN001"
    if call.input.dim() == 0:
        return "XEN002"
    return _diagnose_target(call, call.input, call.target)


def _diagnose_target(call: CallFacts, input: Tensor, target: Tensor) -> str:
    shape = index_shape(input, call.class_dim)
    if target.shape == input.shape and call.function == "cross_entropy":
        if not target.is_floating_point():
            return "XEN003"
        if isinstance(call.ignore_index, int) and call.ignore_index >= 0:
            return "XEN016"
    elif target.shape == input.shape and not target.is_floating_point():
        return "XEN003"
    elif tuple(target.shape) != shape:
        return _diagnose_shape(input, target, shape)
    elif target.is_floating_point():
        return "XEN004"
    elif target.dtype not in (torch.int64, torch.uint8) or (target.dtype == torch.uint8 and input.dim() > 2):
        return "XEN008"
    return _diagnose_rest(call, input, target)


def _diagnose_shape(input: Tensor, target: Tensor, shape: tuple[int, ...]) -> str:
    if extra_axis(target, shape) is not None:
        return "XEN005"
    if input.dim() >= 3 and tuple(target.shape) == tuple(input.shape[:-1]):
        return "XEN006"
    return "XEN007"


def _diagnose_rest(call: CallFacts, input: Tensor, target: Tensor) -> str:
    smoothing = call.label_smoothing
    if isinstance(smoothing, (int, float)) and smoothing > 1:
        return "XEN015"
    weight = call.weight
    if isinstance(weight, Tensor):
        count = classes(input, call.class_dim)
        smoothed = isinstance(smoothing, (int, float)) and smoothing > 0
        if weight.numel() != count or (weight.dim() != 1 and (input.dim() <= 2 or smoothed)):
            return "XEN011"
        if weight.dtype != input.dtype and not target.is_floating_point():
            return "XEN012"
        if weight.requires_grad and not target.is_floating_point():
            return "XEN019"
    if any(t.device != input.device for t in (target, weight) if isinstance(t, Tensor)):
        return "XEN018"
    found = _range(call, input, target)
    if found is None or not found.bad:
        return "XEN029"
    return "XEN010" if found.low >= 1 and found.high == classes(input, call.class_dim) else "XEN009"


def classes(input: Tensor, class_dim: int | None) -> int:
    """V."""
    return input.shape[class_axis(input, class_dim)]


def class_axis(input: Tensor, class_dim: int | None) -> int:
    """The class dimension as a non-negative number: torch's (1, or 0 for 1-D input) unless given."""
    if class_dim is None:
        return 1 if input.dim() > 1 else 0
    return class_dim % input.dim()


def index_shape(input: Tensor, class_dim: int | None) -> tuple[int, ...]:
    """The shape an index target must have."""
    axis = class_axis(input, class_dim)
    return tuple(size for dimension, size in enumerate(input.shape) if dimension != axis)


def extra_axis(target: Tensor, shape: tuple[int, ...]) -> int | None:
    """The axis of size 1 without which the target would fit."""
    for axis, size in enumerate(target.shape):
        if size == 1 and tuple(target.shape[:axis]) + tuple(target.shape[axis + 1 :]) == shape:
            return axis
    return None


def describe(value: object) -> str:
    """Shape and dtype of a tensor, type and value of anything else."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {_short(value.dtype)}"
    return f"{type(value).__name__} {value!r:.60}"


def _came(call: CallFacts) -> str:
    if call.came is not None:
        return call.came
    parts = [f"input {describe(call.input)}", f"target {describe(call.target)}"]
    if call.weight is not None:
        parts.append(f"weight {describe(call.weight)}")
    parts += [f"ignore_index={call.ignore_index!r}", f"reduction={call.reduction!r}"]
    return f"{call.function}(" + ", ".join(parts) + ")"


def _facts(call: CallFacts) -> dict[str, object]:
    input, target, weight = call.input, call.target, call.weight
    facts: dict[str, object] = {
        "reduction": call.reduction,
        "label_smoothing": call.label_smoothing,
        "ignore_index": call.ignore_index,
        "first": "input",
        "second": "target",
        "which": "input" if not isinstance(input, Tensor) else "target",
    }
    facts["came_type"] = type(input if facts["which"] == "input" else target).__name__
    if not isinstance(input, Tensor) or not isinstance(target, Tensor):
        return facts
    facts.update(
        input_dtype=_short(input.dtype),
        input_shape=tuple(input.shape),
        input_device=input.device,
        target_dtype=_short(target.dtype),
    )
    if input.dim():
        facts.update(
            classes=classes(input, call.class_dim),
            class_dim=class_axis(input, call.class_dim),
            index_shape=index_shape(input, call.class_dim),
            extra_axis=extra_axis(target, index_shape(input, call.class_dim)),
        )
        found = _range(call, input, target)
        if found is not None:
            facts.update(zip(("target_min", "target_max", "bad_count", "target_count"), found, strict=True))
            facts["out_of_range_advice"] = _range_advice(found.low, found.high, classes(input, call.class_dim))
    if isinstance(weight, Tensor):
        facts.update(weight_shape=tuple(weight.shape), weight_dtype=_short(weight.dtype))
    return facts


def _range(call: CallFacts, input: Tensor, target: Tensor) -> LabelRange | None:
    """The labels that are not ignored; None: they cannot be read."""
    if call.unread:
        target = target.narrow(-1, call.unread, target.shape[-1] - call.unread)
    numbers = internals.numbers_of(target)
    if numbers is None or numbers.dtype not in (torch.int64, torch.uint8) or not _is_integer(call.ignore_index):
        return None
    numbers = numbers.detach().to(torch.int64)
    counted = numbers[numbers != call.ignore_index]
    if counted.numel() == 0:
        return LabelRange(0, 0, 0, numbers.numel())
    bad = (counted < 0) | (counted >= classes(input, call.class_dim))
    return LabelRange(int(counted.min()), int(counted.max()), int(bad.sum()), numbers.numel())


def _range_advice(low: int, high: int, classes: int) -> str:
    if high == 255 and classes < 255:
        return "ignore_index=255   (255 is the usual mark of unlabelled pixels)"
    if low < 0 and high < classes:
        return f"ignore_index={low}   (if {low} marks positions without a label)"
    return f"a head of at least {high + 1} classes, or labels mapped to 0..{classes - 1}"


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
