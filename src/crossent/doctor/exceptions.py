"""``doctor.explain_error``: torch's own exception, turned into advice.

The traceback still holds the arguments of the loss that refused, so the rules look at those. What has no such
frame is recognised by torch's text.
"""

from __future__ import annotations

import re
from types import FrameType, TracebackType
from typing import NamedTuple

from crossent import errors
from crossent.doctor import examine
from crossent.doctor.arguments import POSITIONAL, record_of
from crossent.doctor.finding import Finding, Place
from crossent.doctor.place import is_installed, is_users, readable
from crossent.doctor.record import CallRecord
from crossent.doctor.report import Report
from crossent.doctor.rules import table


class Advice(NamedTuple):
    """What a text of torch means. The codes belong to entries of the catalogue that only an exception shows."""

    text: str
    code: str
    catalogue: str
    name: str
    message: str
    consequence: str
    fix: str


ADVICE = (
    Advice(
        r"element 0 of tensors does not require grad", "XEN110", "A10", "loss-of-a-decision",
        "backward() on a loss without a graph: argmax, round, detach(), .item(), numpy() or no_grad cut it.",
        "no gradient can be computed.",
        "compute the loss from the scores, with gradients on, and call backward() on what the loss returned.",
    ),
    Advice(
        r"'(float|int|numpy\.\w+|float\d+)' object has no attribute 'backward'", "XEN111", "A11",
        "loss-without-a-graph",
        "backward() on a Python number: .item() or float() was called on the loss before.",
        "no gradient can be computed.", "call loss.backward(), and loss.item() only for printing.",
    ),
    Advice(
        r"grad can be implicitly created only for scalar outputs", "XEN310", "C10", "backward-on-a-vector",
        'backward() on a loss with one value per sample: reduction="none" was used without a mean or sum.',
        "torch does not know how to weigh the samples.", "loss.mean().backward(), over the valid samples.",
    ),
    Advice(
        r"(not implemented for 'Long'|not implemented for 'Int')", "XEN206", "B6", "swapped-arguments",
        "the loss got integers as its input: input and target seem to be swapped.",
        "torch refuses the call.", "cross_entropy(logits, target): the logits first.",
    ),
    Advice(
        r"argument 'weight' \(position 3\) must be Tensor, not str", "XEN312", "C12", "positional-slip",
        "the third argument of cross_entropy is the class weight, and a str came.",
        "torch refuses the call.", 'name it: cross_entropy(input, target, reduction="sum").',
    ),
    Advice(
        r"cannot assign '?str'? object to buffer 'weight'", "XEN312", "C12", "positional-slip",
        "the first argument of CrossEntropyLoss is the class weight, and a str came.",
        "the module cannot be made.", 'name it: CrossEntropyLoss(reduction="sum").',
    ),
    Advice(
        r"Boolean value of Tensor with more than one value is ambiguous", "XEN314", "C14", "loss-made-with-data",
        "a loss module was probably constructed with data, CrossEntropyLoss(logits, target).",
        "the module takes options; data go into its call.", "CrossEntropyLoss()(logits, target).",
    ),
    Advice(
        r"Expected all tensors to be on the same device", "XEN708", "G8", "loss-on-another-device",
        "tensors on different devices met in the loss; a class weight is a buffer of the loss module.",
        "torch refuses the call.", "move the loss module with .to(device) and the target with the input.",
    ),
    Advice(
        r"weight tensor should be defined either for all", "XEN303", "C3", "weight-type",
        "the class weight has another length than there are classes.",
        "torch refuses the call.", "one weight per class.",
    ),
    Advice(
        r"all elements of input should be between 0 and 1", "XEN106", "A6", "sigmoid-twice",
        "binary_cross_entropy expects probabilities and got logits.",
        "torch refuses the call.", "use binary_cross_entropy_with_logits.",
    ),
)  # fmt: skip


REFUSAL = re.compile(r"crossent (XEN\d+) \((.+?)\): (.+)\n.+\n +expected: (.+)\n +write: +(.+)")


def explain_error(error: BaseException) -> Report:
    """What an exception from a loss means, and what to write.

    Args:
        error: as caught, with its traceback.

    Returns:
        a report; without findings where the exception is not about a loss.

    Example:
        >>> import torch, crossent
        >>> try:
        ...     loss = torch.nn.functional.cross_entropy(torch.zeros(2, 3), torch.zeros(2, 1).long())
        ... except RuntimeError as error:
        ...     print(crossent.doctor.explain_error(error).codes)
        ['XEN202']
    """
    frames = _frames(error.__traceback__)
    where = _users_place(frames)
    record = _record_of_the_refused(frames)
    found: list[Finding] = []
    if record is not None:
        record.place = where
        found, _ = examine.refused(record)
    found = found or _from_text(str(error), where) or _refusal(record, where)
    limits = [] if found else [f"{type(error).__name__}: nothing known about this text"]
    return Report(found, limits, "one exception")


def _frames(trace: TracebackType | None) -> list[tuple[FrameType, int]]:
    frames: list[tuple[FrameType, int]] = []
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return frames


def _users_place(frames: list[tuple[FrameType, int]]) -> Place:
    places = [Place(frame.f_code.co_filename, line) for frame, line in reversed(frames) if is_users(frame)]
    own = [place for place in places if not is_installed(place.file)]
    return readable((own or places or [Place()])[0])


def _record_of_the_refused(frames: list[tuple[FrameType, int]]) -> CallRecord | None:
    """The arguments of the loss that raised, from its frame."""
    for frame, _ in frames:
        name = frame.f_code.co_name
        if not is_users(frame) and name in POSITIONAL and "target" in frame.f_locals:
            given = {key: frame.f_locals[key] for key in POSITIONAL[name] if key in frame.f_locals}
            record = record_of(name, (), given)
            if record is not None:
                return record
    return None


def _refusal(record: CallRecord | None, where: Place) -> list[Finding]:
    """What ``crossent.errors`` says of the call, where no rule of the catalogue does."""
    if record is None or record.function not in table.ROW_LOSSES:
        return []
    facts = errors.CallFacts(
        function=record.function, input=record.input, target=record.target, weight=record.weight,
        ignore_index=record.ignore_index, reduction=record.reduction, label_smoothing=record.label_smoothing,
    )  # fmt: skip
    found = REFUSAL.search(str(errors.advise(ValueError(""), facts)))
    if found is None or found[1] == "XEN029":
        return []
    code, name, wrong, expected, write = found.groups()
    return [
        Finding(
            code, "", name, "error", "high", where.file, where.line, f"{wrong}; expected {expected}", {},
            "torch refuses the call.", f"write {write}", record.function,
        )
    ]  # fmt: skip


def _from_text(text: str, where: Place) -> list[Finding]:
    for advice in ADVICE:
        if re.search(advice.text, text):
            return [
                Finding(
                    advice.code, advice.catalogue, advice.name, "error", "medium", where.file, where.line,
                    advice.message, {"torch": text.splitlines()[0]}, advice.consequence, advice.fix, "exception",
                )
            ]  # fmt: skip
    return []
