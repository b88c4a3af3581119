"""Heads of real models, with as many rows as keep this machine busy for a second or two."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

HEADS = {  # (inputs, vocabulary)
    "gpt2": (768, 50257), "llama3-1b": (2048, 128256), "llama3-8b": (4096, 128256), "gemma2-2b": (2304, 256000),
    "qwen3-0.6b": (1024, 151936),
}  # fmt: skip
SWEEP = (8000, 16000, 32000, 64000, 128000, 256000)  # vocabularies of the plot, with SWEPT rows and inputs
SWEPT = (512, 512)
SWEEP_NAME = "sweep"  # in place of a model's
OPERATIONS_PER_CORE = 1.5e11  # of the three products together
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True, slots=True)
class Case:
    """(rows, inputs) hidden states by a head of (classes, inputs)."""

    rows: int
    features: int
    classes: int
    dtype: str  # of DTYPES
    head: str = ""  # the model

    @property
    def name(self) -> str:
        """``2048x768x50257/fp32``, with the model behind it."""
        shape = f"{self.rows}x{self.features}x{self.classes}/{self.dtype}"
        return f"{shape}/{self.head}" if self.head else shape

    @property
    def operations(self) -> float:
        """Of the three products."""
        return 6.0 * self.rows * self.features * self.classes

    @property
    def logits_bytes(self) -> int:
        """What a plain head keeps."""
        return self.rows * self.classes * (4 if self.dtype == "fp32" else 2)


def rows_for(features: int, classes: int) -> int:
    """A power of two between 128 and 8192."""
    wanted = OPERATIONS_PER_CORE * (os.cpu_count() or 1) / (6.0 * features * classes)
    return max(128, min(8192, 1 << max(0, int(wanted)).bit_length() - 1 if wanted >= 1 else 128))


def table() -> list[Case]:
    """Every case of a whole run."""
    found = [Case(2048, 768, 32000, dtype) for dtype in ("fp32", "bf16")]
    for head, (features, classes) in HEADS.items():
        found += [Case(rows_for(features, classes), features, classes, dtype, head) for dtype in ("fp32", "bf16")]
    return found + [Case(*SWEPT, classes, "fp32", SWEEP_NAME) for classes in SWEEP]


def by_name(name: str) -> Case:
    """The case of a name; any shape has one."""
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)/(fp32|bf16|fp16)(?:/([\w.-]+))?", name)
    if match is None or not all(int(part) for part in match.groups()[:3]):
        raise ValueError(f"{name!r} is no case; expected ROWSxINPUTSxCLASSES/fp32 or /bf16")
    rows, features, classes = (int(part) for part in match.groups()[:3])
    return Case(rows, features, classes, match[4], match[5] or "")


def select(patterns: list[str]) -> list[Case]:
    """The cases with a pattern in their name; a shape that is not in the table is a case of its own."""
    found = [case for case in table() if not patterns or any(pattern in case.name for pattern in patterns)]
    known = [case.name for case in found]
    return found + [by_name(p) for p in patterns if re.match(r"\d+x\d+x\d+/", p) and not any(p in n for n in known)]
