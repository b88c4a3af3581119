"""``crossent run --doctor``: the losses of the program are looked at while it runs.

The doctor wraps whatever stands in ``torch.nn.functional`` after the losses were exchanged (or only counted). It
takes its wrappers away before the run is summed up, so that the summary sees what the program saw.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".html", ".json", ".sarif", ".txt")


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    report: Path | None = None  # absolute: the program may change the folder
    strict: bool = False
    steps: int = 3
    every: int = 1000


class Doctoring:
    """One watch over a whole program."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self._watch: Any = None
        self.read_children: Callable[[], list[dict[str, Any]]] = list
        self._of_children: Any = None
        self._root = os.getpid()
        self._ended = False

    def begin(self) -> None:
        """Right after torch was imported and its losses were exchanged."""
        from crossent.doctor.watching import watch

        self._watch = watch(steps=self.wish.steps, every=self.wish.every, announce=self._announce)
        self._watch.__enter__()

    def begin_quietly(self) -> None:
        """In a child: the root says at the end what was found here."""
        self._root = -1
        self.begin()

    def as_dicts(self) -> list[dict[str, Any]]:
        """What was found so far, for another process to read."""
        return [] if self._watch is None else [finding.as_dict() for finding in self._watch.report.findings]

    def _add(self, findings: list[dict[str, Any]]) -> None:
        """What was found in children of this process."""
        if findings:
            from crossent.doctor.finding import Finding
            from crossent.doctor.report import Report

            self._of_children = Report([Finding(**finding) for finding in findings])

    @property
    def _report(self) -> Any:
        """Of this process and its children; None where torch was imported in none."""
        own = None if self._watch is None else self._watch.report
        return self._of_children if own is None else own if self._of_children is None else own + self._of_children

    def end(self) -> None:
        """Take the wrappers away; what is known then is final."""
        if self._watch is not None and not self._ended:
            self._ended = True
            self._watch.__exit__(None, None, None)
        if os.getpid() == self._root:
            self._add(self.read_children())

    def explain(self, error: Exception) -> None:
        """Advice on the exception that ends the program, before its traceback."""
        if self._watch is not None and not self._ended:
            self._ended = True
            self._watch.__exit__(type(error), error, error.__traceback__)

    @property
    def failed(self) -> bool:
        """Whether ``--strict`` has to change the exit status."""
        return self.wish.strict and self._report is not None and not self._report.ok

    def conclude(self) -> None:
        """The report at the end."""
        label = _label()
        report = self._report
        if report is None:
            print(f"crossent doctor{label}: the program did not import torch", file=sys.stderr)
            return
        print(f"crossent doctor{label}: {report.summary}", file=sys.stderr)
        for finding in report.findings:
            print(
                f"    {finding.code} {finding.severity} {finding.name} {finding.file}:{finding.line}", file=sys.stderr
            )
        for limit in report.limits:
            print(f"    not looked at: {limit}", file=sys.stderr)
        if self.wish.report is not None and os.environ.get("RANK", "0") in ("", "0"):
            try:
                report.save(self.wish.report)
            except OSError as error:
                print(f"crossent run: the report could not be written: {error}", file=sys.stderr)

    def _announce(self, finding: Any) -> None:
        if os.getpid() == self._root:
            print(f"crossent doctor{_label()}: {finding}", file=sys.stderr, flush=True)


def _label() -> str:
    from crossent.run.summary import rank_label

    return rank_label()
