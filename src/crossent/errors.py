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


class Refusal(NamedTuple):
    """One way to be refused. The texts are formatted with the facts of the call."""

    name: str
    kind: type[Exception]  # raised by `refuse`; advice keeps torch's own type
    wrong: str
    expected: str
    instead: str


REFUSALS: dict[str, Refusal] = {
    "XEN001": Refusal(
        "input-dtype", NotImplementedError, "the input is {input_dtype}: logits must be floating point",
        "float16, bfloat16, float32 or float64 logits", "input.float()",
    ),
    "XEN002": Refusal(
        "input-shape", ValueError, "the input has no class dimension",
        "(C), (N, C) or (N, C, d1, ..., dK)", "input.unsqueeze(0) for one sample of C logits",
    ),
    "XEN003": Refusal(
        "one-hot-integer-target", RuntimeError, "the target has the input's shape and holds integers: one-hot labels?",
        "class indices {index_shape} int64, or floating point probabilities {input_shape}",
        "target.argmax({class_dim})   (or target.float(), which divides a weighted mean by N instead)",
    ),
    "XEN004": Refusal(
        "float-index-target", RuntimeError, "the target has the shape of class indices but is {target_dtype}",
        "class indices {index_shape} int64", "target.long()",
    ),
    "XEN005": Refusal(
        "target-extra-axis", RuntimeError, "the target has an extra axis of size 1",
        "class indices {index_shape}", "target.squeeze({extra_axis})",
    ),
    "XEN006": Refusal(
        "class-dimension-last", RuntimeError, "the target fits logits whose classes are in the last dimension",
        "classes in dimension {class_dim}: the index target of {input_shape} is {index_shape}",
        "cross_entropy(input, target, class_dim=-1)   (or input.movedim(-1, 1))",
    ),
    "XEN007": Refusal(
        "target-shape", RuntimeError, "the target's shape does not fit the input's",
        "class indices {index_shape}, or probabilities {input_shape}", "a target of one of these shapes",
    ),
    "XEN008": Refusal(
        "target-dtype", RuntimeError, "the target is {target_dtype}", "class indices of dtype int64", "target.long()",
    ),
    "XEN009": Refusal(
        "target-out-of-range", IndexError, "{bad_count} of {target_count} targets are outside the classes: "
        "they lie in [{target_min}, {target_max}]",
        "0 <= target < {classes}, or ignore_index={ignore_index} for positions without a label",
        "{out_of_range_advice}",
    ),
    "XEN010": Refusal(
        "target-one-based", IndexError, "the targets lie in [{target_min}, {target_max}]: they look 1-based",
        "0 <= target < {classes}", "target - 1",
    ),
    "XEN011": Refusal(
        "weight-shape", RuntimeError, "the class weight has shape {weight_shape}",
        "one weight per class: ({classes},)", "a weight of {classes} numbers (per-sample weights go to sample_weight=)",
    ),
    "XEN012": Refusal(
        "weight-dtype", RuntimeError, "the class weight is {weight_dtype}, the input {input_dtype}",
        "a weight of the input's dtype", "weight.to(input.dtype)",
    ),
    "XEN013": Refusal(
        "argument-type", TypeError, "an argument has a type that torch does not take",
        "tensors for input, target and weight; an int for ignore_index", "torch.as_tensor(...)",
    ),
    "XEN014": Refusal(
        "reduction", ValueError, "reduction={reduction!r} is unknown", "'none', 'mean' or 'sum'", "reduction='mean'",
    ),
    "XEN015": Refusal(
        "label-smoothing", RuntimeError, "label_smoothing={label_smoothing!r} is out of range",
        "0 <= label_smoothing <= 1", "label_smoothing=0.1",
    ),
    "XEN016": Refusal(
        "ignore-index-with-probabilities", RuntimeError, "ignore_index={ignore_index} with a probability target",
        "no ignore_index: a row of probabilities has no label to compare",
        "sample_weight=mask   (and denominator=mask.sum())",
    ),
    "XEN017": Refusal(
        "swapped-arguments", NotImplementedError, "the input holds integers and the target floating point numbers: swapped?",
        "cross_entropy(logits, target)", "cross_entropy({second}, {first})",
    ),
    "XEN018": Refusal(
        "device", RuntimeError, "input, target and weight are on different devices",
        "one device for all: {input_device}", "target.to(input.device), weight.to(input.device)",
    ),
    "XEN019": Refusal(
        "weight-gradient", RuntimeError, "the class weight requires a gradient",
        "a constant class weight (only probability targets differentiate it)",
        "weight.detach(), or sample_weight=weight[target]",
    ),
    "XEN020": Refusal(
        "target-type", TypeError, "{which} is not a tensor but {came_type}", "a torch.Tensor", "torch.as_tensor({which})",
    ),
    "XEN029": Refusal("other", RuntimeError, "torch refuses this call", "see the first line", "see the first line"),
    "XEN030": Refusal(
        "option-value", ValueError, "{option}={came!r} is not a value of this option", "{option}: {expected}",
        "{option}=<{expected}>",
    ),
    "XEN031": Refusal(
        "shift-needs-class-dim", ValueError,
        "shift={came} without class_dim: in (N, C) logits it is unknown where a sequence ends",
        "logits (B, T, V) with class_dim=-1, or (B, V, T) with class_dim=1",
        "cross_entropy(logits, tokens, class_dim=-1, shift={came})",
    ),
    "XEN032": Refusal(
        "denominator-needs-mean", ValueError, "denominator= replaces the sum of weights of a mean; reduction is {came!r}",
        "reduction='mean' (the default)", "reduction='mean', or divide the result yourself",
    ),
    "XEN033": Refusal(
        "denominator", ValueError, "the denominator is {came}",
        "a number, or a tensor with one element that needs no gradient", "denominator.detach()",
    ),
    "XEN034": Refusal(
        "option-shape", ValueError, "{option} is {came}", "{option} of shape {expected}, on the input's device",
        "{option}.expand({expected}) or {option}.reshape({expected})",
    ),
    "XEN035": Refusal(
        "shift-without-sequence", ValueError, "shift={came} needs a target with a sequence dimension; its shape is {shape}",
        "an index target (..., T)", "shift=0",
    ),
    "XEN036": Refusal(
        "class-dim", IndexError, "class_dim={came} is out of range for an input of {dimensions} dimensions",
        "{expected}", "class_dim=-1 for logits with the classes last",
    ),
    "XEN040": Refusal(
        "backend-unavailable", RuntimeError, "backend={came!r} cannot run here: {reason}",
        "a backend that can: {available}", "backend=None, which chooses one that can",
    ),
    "XEN041": Refusal(
        "backend-context", RuntimeError, "backend={came!r} was asked for by name and cannot run under {reason}",
        "backend=None: only the composite of ordinary torch operations runs there", "backend=None",
    ),
    "XEN042": Refusal(
        "reference-only", RuntimeError, "these arguments are served by torch alone ({reason}) and cannot be combined with {came}",
        "no crossent option in such a call", "the call without {came}",
    ),
}


def refuse(code: str, **facts: object) -> Exception:
    """The exception of one of crossent's own refusals, ready to be raised."""
    refusal = REFUSALS[code]
    exception = refusal.kind(refusal.wrong.format(**facts) + "\n" + _lines(code, None, facts))
    exception.crossent_code = code  # type: ignore[attr-defined]
    return exception


def _lines(code: str, came: str | None, facts: dict[str, object]) -> str:
    refusal = REFUSALS[code]
    lines = [f"  crossent {code} ({refusal.name})"]
    if came is not None:
        lines[0] += ": " + refusal.wrong.format(**facts)
        lines.append("  came:     " + came)
    lines.append("  expected: " + refusal.expected.format(**facts))
    lines.append("  write:    " + refusal.instead.format(**facts))
    return "\n".join(lines)


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
    if isinstance(smoothing, int | float) and smoothing > 1:
        return "XEN015"
    weight = call.weight
    if isinstance(weight, Tensor):
        if weight.numel() != classes(input, call.class_dim) or (weight.dim() != 1 and input.dim() <= 2):
            return "XEN011"
        if weight.dtype != input.dtype and not target.is_floating_point():
            return "XEN012"
        if weight.requires_grad and not target.is_floating_point():
            return "XEN019"
    if any(t.device != input.device for t in (target, weight) if isinstance(t, Tensor)):
        return "XEN018"
    if not target.is_floating_point() and target.device.type != "meta":
        low, high, bad = _range(call, input, target)
        if bad:
            return "XEN010" if low >= 1 and high == classes(input, call.class_dim) else "XEN009"
    return "XEN029"


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
    parts = [f"input {describe(call.input)}", f"target {describe(call.target)}"]
    if call.weight is not None:
        parts.append(f"weight {describe(call.weight)}")
    parts += [f"ignore_index={call.ignore_index!r}", f"reduction={call.reduction!r}"]
    return f"{call.function}(" + ", ".join(parts) + ")"


def _facts(call: CallFacts) -> dict[str, object]:
    input, target, weight = call.input, call.target, call.weight
    facts: dict[str, object] = {
        "reduction": call.reduction, "label_smoothing": call.label_smoothing, "ignore_index": call.ignore_index,
        "first": "input", "second": "target", "which": "input" if not isinstance(input, Tensor) else "target",
    }
    facts["came_type"] = type(input if facts["which"] == "input" else target).__name__
    if not isinstance(input, Tensor) or not isinstance(target, Tensor):
        return facts
    facts.update(
        input_dtype=_short(input.dtype), input_shape=tuple(input.shape), input_device=input.device,
        target_dtype=_short(target.dtype), target_count=target.numel(),
    )
    if input.dim():
        facts.update(
            classes=classes(input, call.class_dim), class_dim=class_axis(input, call.class_dim),
            index_shape=index_shape(input, call.class_dim),
            extra_axis=extra_axis(target, index_shape(input, call.class_dim)),
        )
        if not target.is_floating_point() and target.dtype != torch.bool and target.device.type != "meta":
            low, high, bad = _range(call, input, target)
            facts.update(target_min=low, target_max=high, bad_count=bad)
            facts["out_of_range_advice"] = _range_advice(low, high, classes(input, call.class_dim))
    if isinstance(weight, Tensor):
        facts.update(weight_shape=tuple(weight.shape), weight_dtype=_short(weight.dtype))
    return facts


def _range(call: CallFacts, input: Tensor, target: Tensor) -> tuple[int, int, int]:
    """Lowest and highest target that is not ignored, and how many are out of range."""
    counted = target.detach()[target.detach() != call.ignore_index]
    if counted.numel() == 0:
        return 0, 0, 0
    bad = (counted < 0) | (counted >= classes(input, call.class_dim))
    return int(counted.min()), int(counted.max()), int(bad.sum())


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
