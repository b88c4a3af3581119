"""What ``crossent run`` says at the end: one line on the losses, and a line for each thing that it could not see."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossent._version import __version__
from crossent.run.children import Family

SHAPES_SHOWN = 3
HANDED_ON = ("composite", "torch", "reference")  # with the reason why not the device's engine


class Outcome:
    """Everything that is known at the end of the run."""

    def __init__(self, family: Family, program: str) -> None:
        self.program = program
        self.losses = family.losses
        self.here = family.counts.total()
        self.children, self.cut_short = family.collect()
        self.counts = family.counts
        self.not_seen = family.not_seen
        self.graphs = compiled_graphs()
        self.replaced = replaced_meanwhile() if family.losses == "crossent" else []

    def lines(self) -> Iterator[str]:
        """The line, then the notes."""
        yield f"crossent run{rank_label()}: {self._line()}"
        for note in self._notes():
            yield f"crossent run{rank_label()}: note: {note}"

    def as_json(self) -> dict[str, Any]:
        """The same for a program to read."""
        return {
            "crossent": __version__,
            "python": platform.python_version(),
            "torch": str(getattr(sys.modules.get("torch"), "__version__", None)),
            "program": self.program,
            "losses": self.losses,
            "calls": self.counts.total(),
            "served": self.counts.rows(),
            "child_processes_with_losses": self.children,
            "child_processes_cut_short": self.cut_short,
            "python_processes_not_seen": self.not_seen,
            "compiled_graphs": self.graphs,
            "replaced_by_others": self.replaced,
        }

    def _line(self) -> str:
        total = self.counts.total()
        if not total:
            return "no loss calls" + ("" if "torch" in sys.modules else "; the program did not import torch")
        where = f" in {_many(self.children, 'child process')}" if self.children else ""
        where += " and here" if self.children and self.here else ""
        return f"{_many(total, 'loss call')}{where}: {self._shapes()}; {self._served()}"

    def _shapes(self) -> str:
        kinds = self.counts.by("function", "shape", "dtype").most_common()
        shown = [f"{name} {shape} {dtype} x {n}" for (name, shape, dtype), n in kinds[:SHAPES_SHOWN]]
        more = len(kinds) - SHAPES_SHOWN
        return ", ".join(shown) + (f" and {_many(more, 'other shape')}" if more > 0 else "")

    def _served(self) -> str:
        by = self.counts.by("by", "reason")
        names = dict.fromkeys(name for (name, _), _ in by.most_common())
        return "served by " + ", ".join(f"{name} {_amount(name, by)}" for name in names)

    def _notes(self) -> Iterator[str]:
        if self.cut_short:
            yield (
                f"{_many(self.cut_short, 'child process')} ended without a word (killed, or still running); "
                "the last second of calls may be missing"
            )
        if self.not_seen:
            yield (
                f"not seen: {_many(len(self.not_seen), 'Python process')} that the program started by itself "
                f"({self.not_seen[0][:80]}). Put crossent into that command: python -m crossent run ..., "
                "torchrun ... -m crossent run ..."
            )
        if self.graphs:
            seen = (
                "are counted where a kernel of crossent's serves them"
                if self.losses == "crossent"
                else "are not counted"
            )
            yield f"torch.compile made {_many(self.graphs, 'graph')}: loss calls that were compiled in {seen}"
        yield from self.replaced


def _amount(name: str, by: Counter[tuple[Any, ...]]) -> str:
    """The calls of one backend, with the reasons where it is not the device's engine."""
    reasons = Counter({reason or "as asked": n for (other, reason), n in by.items() if other == name})
    total = sum(reasons.values())
    if name not in HANDED_ON or set(reasons) == {"as asked"}:
        return str(total)
    if len(reasons) == 1:
        return f"{total} ({next(iter(reasons))})"
    return f"{total} ({', '.join(f'{reason}: {n}' for reason, n in reasons.most_common())})"


def _many(n: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{n:,} {noun if n == 1 else plural}"


def compiled_graphs() -> int:
    """How many graphs torch.compile has made in this process; what it compiled to plain operators notifies nobody."""
    dynamo: Any = sys.modules.get("torch._dynamo.utils")
    return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo is not None else 0


def replaced_meanwhile() -> list[str]:
    """Functions that somebody (another library's patch) has put over ours, or the program's own ``unpatch()``."""
    patching: Any = sys.modules.get("crossent.patching")
    functional: Any = sys.modules.get("torch.nn.functional")
    if patching is None or functional is None:
        return []
    if not patching.is_wanted():
        return ["the program called crossent.unpatch(): calls after it were torch's own and are not counted"]
    return [
        f"torch.nn.functional.{name} was replaced by {patching.full_name(getattr(functional, name))} during the run; "
        "calls that it keeps to itself are not seen"
        for name in patching.replacements()
        if not patching.is_patched(name)
    ]


def rank_label() -> str:
    """Which of torchrun's processes speaks."""
    rank = os.environ.get("RANK", "")
    return f" [rank {rank}]" if rank.isdigit() else ""


def json_path(given: Path) -> Path:
    """One file per rank: ``counts.json`` becomes ``counts.rank0.json`` under torchrun."""
    rank = os.environ.get("RANK", "")
    return given.with_suffix(f".rank{rank}{given.suffix}") if rank.isdigit() else given


def write_json(outcome: Outcome, given: Path) -> None:
    text = json.dumps(outcome.as_json(), indent=2) + "\n"
    try:
        json_path(given).write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"crossent run: the counts could not be written to {given}: {error}", file=sys.stderr)
