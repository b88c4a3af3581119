"""``doctor.explain_error``: torch's own exception, turned into advice.

The traceback still holds the arguments of the loss that refused, so the rules look at those. What has no such
frame is recognised by torch's text (``advice.py``).
"""

from __future__ import annotations

import re
from types import FrameType, TracebackType

from crossent import errors
from crossent.doctor import examine, given
from crossent.doctor.advice import ADVICE
from crossent.doctor.arguments import POSITIONAL, record_of
from crossent.doctor.finding import Finding, Place
from crossent.doctor.place import is_installed, is_users, readable
from crossent.doctor.record import CallRecord
from crossent.doctor.report import Report
from crossent.doctor.rules import table

REFUSAL = re.compile(r"crossent (XEN\d+) \((.+?)\): (.+)\n.+\n +expected: (.+)\n +write: +(.+)")


def explained_by(error: BaseException, findings: list[Finding]) -> None:
    """What was known where the exception arose: :func:`explain_error` says this and nothing else."""
    if findings:
        error.crossent_doctor = findings  # type: ignore[attr-defined]


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
    error = given.instance("error", error, BaseException, "an exception, as caught")
    known: list[Finding] | None = getattr(error, "crossent_doctor", None)
    if known is not None:
        return Report(known, [], "one exception")
    frames = _frames(error.__traceback__)
    where = _users_place(frames)
    record = _record_of_the_refused(frames)
    found: list[Finding] = []
    if record is not None:
        record.place = where
        found, _ = examine.refused(record)
    found = found or _from_text(str(error), where) or refusal(record, where)
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
            passed = {key: frame.f_locals[key] for key in POSITIONAL[name] if key in frame.f_locals}
            record = record_of(name, (), passed)
            if record is not None:
                return record
    return None


def refusal(record: CallRecord | None, where: Place) -> list[Finding]:
    """What ``crossent.errors`` says of the call, where no rule of the catalogue does."""
    if record is None or record.function not in table.ROW_LOSSES:
        return []
    facts = errors.CallFacts(
        function=record.function, input=record.input, target=record.target, weight=record.weight,
        ignore_index=record.ignore_index, reduction=record.reduction, label_smoothing=record.label_smoothing,
        class_dim=record.class_dim_given,
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
