"""The result file: JSON that grows case by case, so that a long run can be stopped and taken up again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
ENGINES = ("cpu", "gpu")
FILE_NAME = "result.json"


class Unlike(Exception):
    """The file holds results of another machine or other versions."""


@dataclass(slots=True)
class Record:
    """What has been measured so far. ``cases``: name -> report of ``child.measure`` and facts of its moment."""

    path: Path
    about: dict[str, Any]
    cases: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    start: dict[str, Any] = field(default_factory=dict[str, Any])

    def save(self) -> None:
        """The file appears whole or not at all."""
        content = {"format": FORMAT, "about": self.about, "start": self.start, "cases": self.cases}
        beside = self.path.with_name(self.path.name + ".new")
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, self.path)


def load(path: Path) -> Record:
    """The record of a file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("format") != FORMAT:
        raise Unlike(f"{path.name} has format {content.get('format')!r}; this version writes {FORMAT}")
    return Record(path, content["about"], content["cases"], content["start"])


def resume(path: Path, about: dict[str, Any]) -> Record:
    """The record to add to: that of the file if it was made on the like of this machine, else a new one."""
    if not path.exists():
        return Record(path, about)
    record = load(path)
    changed = [
        f"{name}: {record.about.get(name)} -> {about[name]}" for name in about if record.about.get(name) != about[name]
    ]
    if changed:
        raise Unlike("results of unlike runs do not go into one file: " + "; ".join(changed))
    return record


def rows(record: Record, case: str, provider: str, buffer: str | None = None) -> list[dict[str, Any]]:
    """The rows of a provider in a case."""
    found = record.cases.get(case, {}).get("rows", [])
    return [row for row in found if row["provider"] == provider and buffer in (None, row["buffer"])]


def row(record: Record, case: str, provider: str, buffers: tuple[str, ...]) -> dict[str, Any] | None:
    """The first row of a provider with one of these buffers."""
    for buffer in buffers:
        for found in rows(record, case, provider, buffer):
            return found
    return None


def of_floor(report: dict[str, Any], row: dict[str, Any]) -> float:
    """The least time by the row's own: that of the bytes it must move at the speed of the copy, which reads and writes
    the logits; of a linear head that of its bare products."""
    part = 1.0 if "operations" in report else report["moved_bytes"] / (2 * report["logits_bytes"])
    return part * row["copy_ms"] / row["median_ms"]


def is_engine(served: list[str]) -> bool:
    """Whether an engine computed every call of a row (not torch, the reference or the composite)."""
    return bool(served) and all(name in ENGINES for name in served)
