"""One finding, and what a rule says when it has found something. No torch here: the linter shares it.

A rule returns :class:`Found`: the numbers it saw. :func:`finding` puts them into the rule's sentences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

LEVELS = ("note", "warning", "error")  # error: a wrong result or none; warning: a bounded defect; note: worth knowing


class LossDoctorWarning(UserWarning):
    """A finding, as a Python warning."""


class LossDoctorError(Exception):
    """What :meth:`Report.raise_if` raises."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's code."""

    file: str = "<unknown>"
    line: int = 0
    via: str = ""  # the library's line that called the loss, where the user called the library

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One rule in the table of rules. Code and name are in the name of its module."""

    catalogue: str  # the entry in the catalogue of misuses: A1, B3, ...
    severity: str
    module: str  # xen101_softmax_before_cross_entropy
    looks_at: tuple[str, ...]  # functions of torch.nn.functional, or "backward", "batch", "accumulation", ...

    @property
    def code(self) -> str:
        return self.module.split("_")[0].upper()

    @property
    def name(self) -> str:
        return self.module.split("_", 1)[1].replace("_", "-")


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule saw: numbers for its sentences, and how sure it is."""

    evidence: dict[str, Any] = field(default_factory=dict[str, Any])
    confidence: str = "high"  # high: exact; medium: a measured threshold; low: a habit
    severity: str | None = None  # other than the rule's own
    variant: str = ""  # which of the rule's sentences: MESSAGE_<VARIANT>


@dataclass(frozen=True, slots=True)
class Finding:
    """A misuse, said with evidence."""

    code: str
    catalogue: str
    name: str
    severity: str
    confidence: str
    file: str
    line: int
    message: str
    evidence: dict[str, Any]
    consequence: str
    fix: str
    function: str = ""

    @property
    def place(self) -> Place:
        return Place(self.file, self.line)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: getattr(self, name) for name in FIELDS}

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.code} {self.severity} ({self.name}, {self.confidence} confidence)\n"
            f"    {self.message}\n    consequence: {self.consequence}\n    fix: {self.fix}"
        )


FIELDS = (
    "code", "catalogue", "name", "severity", "confidence", "file", "line", "function", "message", "evidence",
    "consequence", "fix",
)  # fmt: skip


def finding(row: Row, rule: ModuleType, found: Found, place: Place, function: str) -> Finding:
    """The rule's sentences with the numbers of this case in them."""
    variant = f"_{found.variant}" if found.variant else ""

    def sentence(part: str) -> str:
        text: str = getattr(rule, part + variant, None) or getattr(rule, part)
        return text.format(**found.evidence)

    return Finding(
        code=row.code,
        catalogue=row.catalogue,
        name=row.name,
        severity=found.severity or row.severity,
        confidence=found.confidence,
        file=place.file,
        line=place.line,
        function=function,
        message=sentence("MESSAGE") + (f" The loss is called in {place.via}." if place.via else ""),
        evidence={name: _plain(value) for name, value in found.evidence.items()},
        consequence=sentence("CONSEQUENCE"),
        fix=sentence("FIX"),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, int | str | bool) or value is None:
        return value
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value)
