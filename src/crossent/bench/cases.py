"""What is measured: calls as data, and beside each the bytes that it must move. Imports no torch.

The byte model counts what no implementation can avoid while logits and gradient are larger than the caches:

    forward             read the logits
    both                read the logits, write the gradient
    both, per-row loss  read the logits, read them again once the upstream gradient is known, write the gradient
    probabilities       read them, too
    targets             8 bytes per row

Vectors per row or per class (weights) are left out: below 1%.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ITEM_BYTES = {"fp32": 4, "bf16": 2}
FORWARD, BOTH = "forward", "both"
# Where a gradient goes: memory that the allocator hands out anew, memory that the process has kept, over the logits.
FRESH, WARM, IN_PLACE, NO_BUFFER = "fresh", "warm", "in place", "-"
# Who is measured (providers.py).
EAGER, COMPILED, OURS = "torch eager", "torch.compile", "crossent"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # the settings of the table are all there are
class Setting:
    """Options of a call. ``numbers`` are passed to crossent as they are, ``tensors`` are made by ``inputs.py``."""

    name: str
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    tensors: tuple[str, ...] = ()
    ignored: float = 0.0  # share of the rows whose label is ignore_index
    probabilities: bool = False
    reduction: str = "mean"
    upstream: float | None = None  # the upstream gradient; None: 1, and one number per row where reduction is none


PLAIN = Setting(name="")
SETTINGS = (
    Setting(
        name="weight+smoothing+ignore", numbers={"label_smoothing": 0.1}, tensors=("weight",), ignored=0.1
    ),
    Setting(name="softcap+scale", numbers={"softcap": 30.0, "logit_scale": 0.5}),
    Setting(name="z_loss", numbers={"z_loss": 1e-4}),
    Setting(name="sample_weight", tensors=("sample_weight",)),
    Setting(name="probabilities", probabilities=True),
    Setting(name="none", reduction="none"),
    Setting(name="upstream", upstream=0.5),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call on logits of ``shape``; the classes are dimension 1, as in torch."""

    shape: tuple[int, ...]
    dtype: str
    mode: str
    setting: Setting = PLAIN

    @property
    def name(self) -> str:
        """E.g. ``2048x32000/fp32/both/z_loss``."""
        parts = ("x".join(map(str, self.shape)), self.dtype, self.mode, self.setting.name)
        return "/".join(part for part in parts if part)

    @property
    def rows(self) -> int:
        return math.prod(self.shape) // self.shape[1]

    @property
    def logits_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def moved_bytes(self) -> int:
        """The byte model above."""
        passes = 1 if self.mode == FORWARD else 3 if self.setting.reduction == "none" else 2
        return (passes + self.setting.probabilities) * self.logits_bytes + 8 * self.rows

    @property
    def is_small(self) -> bool:
        """In the caches or nearly so: a ratio to the copy of the logits would say little."""
        return self.logits_bytes < SMALL_BYTES

    def __str__(self) -> str:
        return self.name


SMALL_BYTES = 8 << 20
LARGE_SHAPES = (
    (65536, 10),
    (16384, 1000),
    (8, 21, 512, 512),
    (8, 150, 512, 512),
    (2048, 32000),
    (2048, 128256),
    (8192, 50257),
)
SMALL_SHAPES = ((1, 10), (32, 10), (128, 100), (128, 1000))
OPTION_SHAPES = ((16384, 1000), (2048, 32000))
QUICK = ("65536x10/fp32/both", "16384x1000/fp32/both", "2048x32000/fp32/both", "32x10/fp32/both")


def table() -> list[Case]:
    """Every case, the plain ones first."""
    plain = [
        Case(shape=shape, dtype=dtype, mode=mode)
        for dtype in ITEM_BYTES
        for shape in (*SMALL_SHAPES, *LARGE_SHAPES)
        for mode in (BOTH, FORWARD)
    ]
    options = [
        Case(shape=shape, dtype=dtype, mode=BOTH, setting=setting)
        for dtype in ITEM_BYTES
        for shape in OPTION_SHAPES
        for setting in SETTINGS
    ]
    return plain + options


def select(patterns: Sequence[str] = (), dtypes: Sequence[str] = (), *, quick: bool = False) -> list[Case]:
    """The cases that a pattern means (a name; else ``*`` and ``?``, or a part of the name), in table order."""
    names = {case.name for case in table()}
    chosen = [case for case in table() if not dtypes or case.dtype in dtypes]
    if quick:
        chosen = [case for case in chosen if case.name in QUICK]
    return [case for case in chosen if not patterns or any(_means(pattern, case.name, names) for pattern in patterns)]


def _means(pattern: str, name: str, names: set[str]) -> bool:
    if pattern in names:
        return pattern == name
    return fnmatch.fnmatchcase(name, pattern) if set(pattern) & set("*?[") else pattern in name


def by_name(name: str) -> Case:
    """The case of that name, also one that is not in the table (for tests): shape/dtype/mode[/setting]."""
    shape, dtype, mode, *rest = name.split("/")
    setting = next(setting for setting in (PLAIN, *SETTINGS) if setting.name == "".join(rest))
    return Case(shape=tuple(map(int, shape.split("x"))), dtype=dtype, mode=mode, setting=setting)
