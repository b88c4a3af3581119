"""What the doctor returns: findings, and what it could not look at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossent.doctor.finding import LEVELS, Finding, LossDoctorError

FORMATS = (".html", ".json", ".sarif", ".txt")


@dataclass
class Report:
    """Findings, most severe first, one per rule and place."""

    findings: list[Finding] = field(default_factory=list[Finding])
    limits: list[str] = field(default_factory=list[str])
    subject: str = ""  # what was looked at

    def __post_init__(self) -> None:
        self.findings = _sorted(self.findings)
        self.limits = list(dict.fromkeys(self.limits))

    @property
    def ok(self) -> bool:
        """Whether there is no error and no warning; notes do not count."""
        return not self.at_least("warning")

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]

    def at_least(self, level: str) -> list[Finding]:
        """The findings of this severity and above."""
        if level not in LEVELS:
            raise ValueError(f"level is {level!r}; expected {', '.join(LEVELS)}")
        return [finding for finding in self.findings if LEVELS.index(finding.severity) >= LEVELS.index(level)]

    def raise_if(self, level: str = "error") -> Report:
        """Raise :class:`LossDoctorError` with the report as its text if a finding is this severe or more."""
        if self.at_least(level):
            raise LossDoctorError(str(self))
        return self

    def __add__(self, other: Report) -> Report:
        return Report([*self.findings, *other.findings], [*self.limits, *other.limits], self.subject or other.subject)

    def __bool__(self) -> bool:
        """True if there is anything to say."""
        return bool(self.findings)

    # ---- formats -------------------------------------------------------------------------------

    def __str__(self) -> str:
        lines = [f"crossent doctor: {self.summary}"]
        lines += [str(finding) for finding in self.findings]
        lines += [f"not looked at: {limit}" for limit in self.limits]
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        subject = f" in {self.subject}" if self.subject else ""
        if not self.findings:
            return f"no findings{subject}"
        counts = Counter(finding.severity for finding in self.findings)
        parts = [f"{n} {level}{'s' if n > 1 else ''}" for level in reversed(LEVELS) if (n := counts[level])]
        return ", ".join(parts) + subject

    def to_dict(self) -> dict[str, Any]:
        return {
            "findings": [finding.as_dict() for finding in self.findings],
            "ok": self.ok,
            "limits": self.limits,
            "subject": self.subject,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def to_sarif(self) -> dict[str, Any]:
        """SARIF 2.1.0, for code scanning."""
        from crossent.doctor.sarif import log

        return log(self.findings)

    def to_html(self) -> str:
        """A page of its own: no scripts, light and dark, narrow and wide."""
        from crossent.doctor.html import page

        return page(self)

    def _repr_html_(self) -> str:
        from crossent.doctor.html import body

        return body(self)

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from crossent.doctor.tables import rendered

        return rendered(self)

    def save(self, path: str | Path) -> None:
        """Write .html, .json, .sarif or .txt, by the name's ending."""
        path = Path(path)
        write = {
            ".html": self.to_html,
            ".json": self.to_json,
            ".sarif": lambda: json.dumps(self.to_sarif(), indent=2),
            ".txt": self.__str__,
        }.get(path.suffix)
        if write is None:
            raise ValueError(f"a report is written as {', '.join(FORMATS)}; {path.name!r} ends otherwise")
        path.write_text(write() + "\n", encoding="utf-8")


def _sorted(findings: list[Finding]) -> list[Finding]:
    unique = {(finding.code, finding.file, finding.line): finding for finding in reversed(findings)}
    return sorted(
        unique.values(), key=lambda finding: (-LEVELS.index(finding.severity), finding.file, finding.line, finding.code)
    )
