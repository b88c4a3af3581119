"""Every way to be refused, as data: code, name, and the texts, formatted with the facts of the call.

Codes are never renumbered. ``kind`` is what :func:`crossent.errors.refuse` raises; advice added to one of
torch's own exceptions keeps torch's type.
"""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """One way to be refused. The texts are formatted with the facts of the call."""

    name: str
    kind: type[Exception]  # raised by `refuse`; advice keeps torch's own type
    wrong: str
    expected: str
    instead: str


# What XEN030 shows for an option; one that is not here may be left out.
EXAMPLES = {
    "softcap": "softcap=30.0", "z_loss": "z_loss=1e-4", "out_dtype": "out_dtype=torch.float32",
    "if_all_ignored": "if_all_ignored='zero'", "class_dim": "class_dim=-1", "shift": "shift=1",
    "logit_scale": "logit_scale=0.5", "backend": "backend=None", "inplace": "inplace=False", "top_k": "top_k=5",
    "memory_budget": "memory_budget=256 << 20", "valid_rows": "valid_rows=int((target != ignore_index).sum())",
    "filter_eps": "filter_eps='auto'", "LinearPlan.rows": "LinearPlan(rows=512)",
    "LinearPlan.classes": "LinearPlan(classes=4096)", "LinearPlan.gradients": "LinearPlan(gradients='recompute')",
    "LinearPlan.accumulate": "LinearPlan(accumulate=torch.float32)", "LinearPlan.counted": "LinearPlan(counted=None)",
}  # fmt: skip


def example(option: object) -> str:
    """A call's words for an option with a value that it takes."""
    return EXAMPLES.get(str(option), f"the call without {option}=")


REFUSALS: dict[str, Refusal] = {
    "XEN001": Refusal(
        "input-dtype",
        NotImplementedError,
        "the input is {input_dtype}: logits must be floating point",
        "float16, bfloat16, float32 or float64 logits",
        "input.float()",
    ),
    "XEN002": Refusal(
        "input-shape",
        ValueError,
        "the input has no class dimension",
        "(C), (N, C) or (N, C, d1, ..., dK)",
        "input.unsqueeze(0) for one sample of C logits",
    ),
    "XEN003": Refusal(
        "one-hot-integer-target",
        RuntimeError,
        "the target has the input's shape and holds integers: one-hot labels?",
        "class indices {index_shape} int64, or floating point probabilities {input_shape}",
        "target.argmax({class_dim})   (or target.float(), which divides a weighted mean by N instead)",
    ),
    "XEN004": Refusal(
        "float-index-target",
        RuntimeError,
        "the target has the shape of class indices but is {target_dtype}",
        "class indices {index_shape} int64",
        "target.long()",
    ),
    "XEN005": Refusal(
        "target-extra-axis",
        RuntimeError,
        "the target has an extra axis of size 1",
        "class indices {index_shape}",
        "target.squeeze({extra_axis})",
    ),
    "XEN006": Refusal(
        "class-dimension-last",
        RuntimeError,
        "the target fits logits whose classes are in the last dimension",
        "classes in dimension {class_dim}: the index target of {input_shape} is {index_shape}",
        "cross_entropy(input, target, class_dim=-1)   (or input.movedim(-1, 1))",
    ),
    "XEN007": Refusal(
        "target-shape",
        RuntimeError,
        "the target's shape does not fit the input's",
        "class indices {index_shape}, or (cross_entropy only) probabilities {input_shape}",
        "a target of one of these shapes",
    ),
    "XEN008": Refusal(
        "target-dtype",
        RuntimeError,
        "the target is {target_dtype}",
        "class indices of dtype int64",
        "target.long()",
    ),
    "XEN009": Refusal(
        "target-out-of-range",
        IndexError,
        "{bad_count} of {target_count} targets are outside the classes: they lie in [{target_min}, {target_max}]",
        "0 <= target < {classes}, or ignore_index={ignore_index} for positions without a label",
        "{out_of_range_advice}",
    ),
    "XEN010": Refusal(
        "target-one-based",
        IndexError,
        "the targets lie in [{target_min}, {target_max}]: they look 1-based",
        "0 <= target < {classes}",
        "target - 1",
    ),
    "XEN011": Refusal(
        "weight-shape",
        RuntimeError,
        "the class weight has shape {weight_shape}",
        "one weight per class: ({classes},)",
        "a weight of {classes} numbers (per-sample weights go to sample_weight=)",
    ),
    "XEN012": Refusal(
        "weight-dtype",
        RuntimeError,
        "the class weight is {weight_dtype}, the input {input_dtype}",
        "a weight of the input's dtype",
        "weight.to(input.dtype)",
    ),
    "XEN013": Refusal(
        "argument-type",
        TypeError,
        "an argument has a type that torch does not take",
        "tensors for input, target and weight; an int for ignore_index; a float for label_smoothing",
        "weight=torch.as_tensor(...), ignore_index=int(...), label_smoothing=float(...)",
    ),
    "XEN014": Refusal(
        "reduction",
        ValueError,
        "reduction={reduction!r} is unknown",
        "'none', 'mean' or 'sum'",
        "reduction='mean'",
    ),
    "XEN015": Refusal(
        "label-smoothing",
        RuntimeError,
        "label_smoothing={label_smoothing!r} is out of range",
        "0 <= label_smoothing <= 1",
        "label_smoothing=0.1",
    ),
    "XEN016": Refusal(
        "ignore-index-with-probabilities",
        RuntimeError,
        "ignore_index={ignore_index} with a probability target",
        "no ignore_index: a row of probabilities has no label to compare",
        "sample_weight=mask   (and denominator=mask.sum())",
    ),
    "XEN017": Refusal(
        "swapped-arguments",
        NotImplementedError,
        "the input holds integers and the target floating point numbers: swapped?",
        "cross_entropy(logits, target)",
        "cross_entropy({second}, {first})",
    ),
    "XEN018": Refusal(
        "device",
        RuntimeError,
        "input, target and weight are on different devices",
        "one device for all: {input_device}",
        "target.to(input.device), weight.to(input.device)",
    ),
    "XEN019": Refusal(
        "weight-gradient",
        RuntimeError,
        "the class weight requires a gradient",
        "a constant class weight (only probability targets differentiate it)",
        "weight.detach(), or sample_weight=weight[target]",
    ),
    "XEN020": Refusal(
        "target-type",
        TypeError,
        "{which} is not a tensor but {came_type}",
        "a torch.Tensor",
        "torch.as_tensor({which})",
    ),
    "XEN029": Refusal("other", RuntimeError, "torch refuses this call", "see the first line", "see the first line"),
    "XEN030": Refusal(
        "option-value",
        ValueError,
        "{option}={came!r} is not a value of this option",
        "{option}: {expected}",
        "{example}",
    ),
    "XEN031": Refusal(
        "shift-needs-class-dim",
        ValueError,
        "shift={came} without class_dim: in (N, C) logits it is unknown where a sequence ends",
        "logits (B, T, V) with class_dim=-1, or (B, V, T) with class_dim=1",
        "cross_entropy(logits, tokens, class_dim=-1, shift={came})",
    ),
    "XEN032": Refusal(
        "denominator-needs-mean",
        ValueError,
        "denominator= replaces the sum of weights of a mean; reduction is {came!r}",
        "reduction='mean' (the default)",
        "reduction='mean', or divide the result yourself",
    ),
    "XEN033": Refusal(
        "denominator",
        ValueError,
        "the denominator is {came}",
        "a finite number >= 0, or a tensor with one element that needs no gradient",
        "denominator=int((target != ignore_index).sum()); of a tensor denominator.detach(), or its .sum()",
    ),
    "XEN034": Refusal(
        "option-shape",
        ValueError,
        "{option} is {came}",
        "{option} of shape {expected}, on the input's device",
        "torch.as_tensor({option}, device=input.device), expanded or reshaped to {expected}",
    ),
    "XEN035": Refusal(
        "shift-without-sequence",
        ValueError,
        "shift={came} needs a target with a sequence dimension; its shape is {shape}",
        "an index target (..., T)",
        "shift=0",
    ),
    "XEN036": Refusal(
        "class-dim",
        IndexError,
        "class_dim={came} is out of range for an input of {dimensions} dimensions",
        "{expected}",
        "class_dim=-1 for logits with the classes last",
    ),
    "XEN040": Refusal(
        "backend-unavailable",
        RuntimeError,
        "backend={came!r} cannot run here: {reason}",
        "a backend that can: {available}",
        "backend=None, which chooses one that can",
    ),
    "XEN041": Refusal(
        "backend-context",
        RuntimeError,
        "backend={came!r} was asked for by name and cannot run under {reason}",
        "backend=None: only the composite of ordinary torch operations runs there",
        "backend=None",
    ),
    "XEN043": Refusal(
        "inplace",
        RuntimeError,
        "inplace=True cannot write the gradient over this input: {came}",
        "a result of other operations, or a tensor that needs no gradient, whose elements do not overlap",
        "inplace=False, or cross_entropy(input.clone(), ..., inplace=True)",
    ),
    "XEN044": Refusal(
        "inplace-spent",
        RuntimeError,
        "the logits of this loss hold its gradient (inplace=True): {came} needs the logits themselves",
        "one backward, without create_graph",
        "inplace=False",
    ),
    "XEN042": Refusal(
        "reference-only",
        RuntimeError,
        "these arguments are served by torch alone ({reason}) and cannot be combined with {came}",
        "no crossent option in such a call",
        "the call without {came}",
    ),
    "XEN050": Refusal(
        "linear-input-shape",
        RuntimeError,
        "the input is {input_shape}: hidden states of sequences need shift=, which says where a sequence ends",
        "(H) or (N, H); or (..., T, H) with shift=",
        "linear_cross_entropy(hidden, weight, tokens, shift=1), or shift=0 for targets that are aligned already",
    ),
    "XEN051": Refusal(
        "linear-features",
        RuntimeError,
        "the head {weight_shape} does not fit the input {input_shape}",
        "linear_weight (C, H) or (C, d1, ..., dK, H), linear_bias (C) or (C, d1, ..., dK), K > 0 only for (N, H) input",
        "a linear_weight of in_features {features} (try .T), a linear_bias of its other dimensions",
    ),
    "XEN052": Refusal(
        "linear-dtype",
        RuntimeError,
        "input, linear_weight and linear_bias have the dtypes {dtypes}",
        "one floating point dtype for all three, or an autocast region",
        "input.to(linear_weight.dtype)",
    ),
    "XEN053": Refusal(
        "linear-ignore-index",
        RuntimeError,
        "ignore_index={ignore_index} with a probability target",
        "no ignore_index: a row of probabilities has no label to compare",
        "sample_weight=mask   (and denominator=mask.sum())",
    ),
    "XEN054": Refusal(
        "memory-budget",
        ValueError,
        "memory_budget={came} bytes hold no plan for this call",
        "at least {expected} bytes",
        "memory_budget={expected}, or None for the default",
    ),
    "XEN055": Refusal(
        "linear-options",
        TypeError,
        "options is {came}",
        "a crossent.LinearPlan, a torch.nn.LinearCrossEntropyOptions, or None",
        "options=crossent.LinearPlan(rows=256)",
    ),
    "XEN056": Refusal(
        "linear-sequence",
        ValueError,
        "input {input_shape} and target {target_shape} with shift={came}",
        "hidden states (..., T, H), a head (V, H) and a target (..., T) of int64 or (..., T, V) of probabilities",
        "a target of shape {expected}, entry t being the token at position t",
    ),
    "XEN057": Refusal(
        "valid-rows",
        ValueError,
        "valid_rows={came}, but {rows} rows have a target that is not ignored",
        "a number that is at least that of the rows with a target",
        "valid_rows=int((target != ignore_index).sum()), counted where the batch is made; or None",
    ),
    "XEN058": Refusal(
        "linear-module",
        TypeError,
        "{which} is the module {came_type}, not its weight",
        "a torch.Tensor: the head's weight (C, H), and its bias by itself",
        "linear_weight=head.weight, linear_bias=head.bias",
    ),
    "XEN070": Refusal(
        "explain-values",
        ValueError,
        "{count} of {all} values of the {which} are not finite: the first is {value}, in row {row}, class {column}",
        "finite numbers; among logits -inf for masked classes, but not for all classes of a row",
        "crossent.doctor(logits, target); crossent run --doctor train.py names the operation that made it",
    ),
    "XEN071": Refusal(
        "explain-empty",
        ValueError,
        "the logits have shape {shape}: there is nothing to explain",
        "at least one row and one class",
        "logits (N, C) of one batch",
    ),
    "XEN072": Refusal(
        "explain-labels",
        ValueError,
        "{count} of {all} labels are not whole: the first is {value:g}",
        "class indices 0 to C - 1, or probabilities in the shape of the logits",
        "the ids of the classes, as integers; for two classes with probability p: target [1 - p, p]",
    ),
}
