"""What texts of torch mean: the entries of the catalogue that only an exception shows, and no tensor.

A code that the table of rules has, too, is that rule; the others have no page but these lines.
"""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """One text of torch, and what to do about it."""

    text: str  # a regular expression
    code: str
    catalogue: str
    name: str
    message: str
    fix: str
    consequence: str = "torch refuses the call."


ADVICE: tuple[Advice, ...] = (
    Advice(
        "element 0 of tensors does not require grad",
        "XEN110", "A10", "loss-of-a-decision",
        "backward() on a loss without a graph: argmax, round, detach(), .item(), numpy() or no_grad cut it.",
        "compute the loss from the scores, with gradients on, and call backward() on what the loss returned.",
        "no gradient can be computed.",
    ),
    Advice(
        r"'(float|int|numpy\.\w+|float\d+)' object has no attribute 'backward'",
        "XEN111", "A11", "loss-without-a-graph",
        "backward() on a Python number: .item() or float() was called on the loss before.",
        "call loss.backward(), and loss.item() only for printing.",
        "no gradient can be computed.",
    ),
    Advice(
        "grad can be implicitly created only for scalar outputs",
        "XEN310", "C10", "backward-on-a-vector",
        'backward() on a loss with one value per sample: reduction="none" was used without a mean or sum.',
        "loss.mean().backward(), over the valid samples.",
        "torch does not know how to weigh the samples.",
    ),
    Advice(
        "(not implemented for 'Long'|not implemented for 'Int')",
        "XEN206", "B6", "swapped-arguments",
        "the loss got integers as its input: input and target seem to be swapped.",
        "cross_entropy(logits, target): the logits first.",
    ),
    Advice(
        r"argument 'weight' \(position 3\) must be Tensor, not str",
        "XEN312", "C12", "positional-slip",
        "the third argument of cross_entropy is the class weight, and a str came.",
        'name it: cross_entropy(input, target, reduction="sum").',
    ),
    Advice(
        "cannot assign '?str'? object to buffer 'weight'",
        "XEN312", "C12", "positional-slip",
        "the first argument of CrossEntropyLoss is the class weight, and a str came.",
        'name it: CrossEntropyLoss(reduction="sum").',
        "the module cannot be made.",
    ),
    Advice(
        "Boolean value of Tensor with more than one value is ambiguous",
        "XEN314", "C14", "loss-made-with-data",
        "a loss module was probably constructed with data, CrossEntropyLoss(logits, target).",
        "CrossEntropyLoss()(logits, target).",
        "the module takes options; data go into its call.",
    ),
    Advice(
        "Expected all tensors to be on the same device",
        "XEN708", "G8", "loss-on-another-device",
        "tensors on different devices met in the loss; a class weight is a buffer of the loss module.",
        "move the loss module with .to(device) and the target with the input.",
    ),
    Advice(
        "weight tensor should be defined either for all",
        "XEN303", "C3", "weight-type",
        "the class weight has another length than there are classes.",
        "one weight per class.",
    ),
    Advice(
        "all elements of input should be between 0 and 1",
        "XEN106", "A6", "sigmoid-twice",
        "binary_cross_entropy expects probabilities and got logits.",
        "use binary_cross_entropy_with_logits.",
    ),
)  # fmt: skip


def without_rule(rules: set[str]) -> dict[str, Advice]:
    """The codes that only an exception has, given those of the table of rules."""
    bare = [advice for advice in reversed(ADVICE) if advice.code not in rules]
    return {advice.code: advice for advice in sorted(bare, key=lambda advice: advice.code)}
