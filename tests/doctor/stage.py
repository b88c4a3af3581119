"""The stage on which examples play: names that every example may use, and the doctor watching.

An example is a piece of Python. ``# XEN101`` at the end of a line says that this finding is expected there.
Examples are data: docstrings of the rules, and the files in ``recipes`` and ``repros``.
"""

from __future__ import annotations

import math
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import crossent
from crossent import doctor

FOLDER = Path(__file__).parent
EXPECTED = re.compile(r"#\s*((?:XEN\d{3}[ ,]*)+)\s*$")


@dataclass(frozen=True)
class Example:
    name: str
    code: str

    @property
    def expected(self) -> set[tuple[str, int]]:
        """(code, line) of every finding that is asked for."""
        wanted = set()
        for number, line in enumerate(self.code.splitlines(), 1):
            if found := EXPECTED.search(line):
                wanted |= {(code, number) for code in re.findall(r"XEN\d{3}", found[1])}
        return wanted

    def __str__(self) -> str:
        return self.name


class Tokenizer:
    eos_token_id, pad_token_id, chat_template = 2, 2, None

    def __len__(self) -> int:
        return 50


class LanguageModel(nn.Module):
    """(B, T) ids -> (B, T, V) logits."""

    def __init__(self, vocabulary: int = 50, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.mix = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.embed(ids))[0])


def names() -> dict[str, Any]:
    """What an example finds: 32 samples of 10 classes, 4 images of 5 classes, 4 texts over 50 tokens."""
    torch.manual_seed(0)
    stage: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "math": math, "crossent": crossent, "doctor": doctor}
    stage.update(
        x=torch.randn(32, 20), y=torch.randint(0, 10, (32,)), model=nn.Linear(20, 10), teacher=nn.Linear(20, 10)
    )
    stage.update(multi_hot=(torch.rand(32, 10) > 0.7).float(), images=torch.randn(4, 3, 8, 8), conv=nn.Conv2d(3, 5, 1))
    stage.update(masks=torch.randint(0, 5, (4, 8, 8)), ids=torch.randint(3, 50, (4, 16)), lm=LanguageModel())
    stage.update(tokenizer=Tokenizer(), LanguageModel=LanguageModel)
    return stage


def play(example: Example) -> doctor.Report:
    """Run an example under the doctor; what it calls ``report`` is added, and so is advice on what it raises."""
    module = ModuleType("example_of_the_doctor")  # functions of the example keep their globals alive
    file = f"<{example.name}>"
    module.__dict__.update(names(), __name__="example_of_the_doctor", __file__=file)
    sys.modules[module.__name__] = module  # dataclasses look theirs up
    with warnings.catch_warnings(), doctor.watch(announce=None) as watching:
        warnings.simplefilter("ignore")
        error = None
        try:
            exec(compile(example.code, file, "exec"), module.__dict__)  # noqa: S102 - our own examples
        except Exception as problem:
            error = problem
    report = watching.report
    if error is not None:
        explained = doctor.explain_error(error)
        assert explained.findings, f"{example.name}: {type(error).__name__}: {error}"
        report += explained
    asked = module.__dict__.get("report")
    return report + asked if asked is not None else report


def found(report: doctor.Report, level: str = "note") -> set[tuple[str, int]]:
    return {(finding.code, finding.line) for finding in report.at_least(level)}


def collect(folder: str) -> list[Example]:
    """All examples of a folder of data."""
    paths = sorted((FOLDER / folder).glob("*.py"))
    return [Example(path.stem, path.read_text(encoding="utf-8")) for path in paths]
