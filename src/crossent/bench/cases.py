"""What is measured: calls as data, and beside each the bytes that it must move. Imports no torch.

The byte model counts what no implementation can avoid while logits and gradient are larger than the caches:

    forward             read the logits
    both                read the logits, write the gradient
    both, per-row loss  read the logits, read them again once the upstream gradient is known, write the gradient
    probabilities       read them, too
    targets             8 bytes per row
    linear head         its products: 2 N H V operations forward, 6 N H V with both gradients (no byte model)

Vectors per row or per class (weights) are left out: below 1%.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

ITEM_BYTES = {"fp32": 4, "bf16": 2}
FORWARD, BOTH = "forward", "both"
# Where a gradient goes: memory that the allocator hands out anew, memory that the process has kept, over the logits.
FRESH, WARM, IN_PLACE, NO_BUFFER = "fresh", "warm", "in place", "-"
# Who is measured (providers.py).
EAGER, COMPILED, OURS = "torch eager", "torch.compile", "crossent"
CPU, CUDA, STAND_IN = "cpu", "cuda", "stand-in"  # the devices of places.py
LINEAR = "linear"  # in the name of a case of a linear head


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

# Of linear heads on a device, which are told how many rows count (``valid_rows=``).
MOSTLY_IGNORED = Setting(name="ignored", ignored=0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call on logits of ``shape``; the classes are dimension 1, as in torch."""

    shape: tuple[int, ...]
    dtype: str
    mode: str
    setting: Setting = PLAIN
    device: str = CPU
    features: int = 0  # H of a linear head, whose logits have ``shape``; 0: the loss of logits

    @property
    def name(self) -> str:
        """E.g. ``2048x32000/fp32/both/z_loss``, or ``cuda/linear/4096x4096x128256/bf16/both`` (N x H x V)."""
        sizes = (self.shape[0], self.features, self.shape[1]) if self.features else self.shape
        place, kind = "" if self.device == CPU else self.device, LINEAR if self.features else ""
        parts = (place, kind, "x".join(map(str, sizes)), self.dtype, self.mode, self.setting.name)
        return "/".join(part for part in parts if part)

    @property
    def operations(self) -> int:
        """Of the products of a linear head."""
        return (6 if self.mode == BOTH else 2) * math.prod(self.shape) * self.features

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
# On a device: 8192 rows of the vocabularies that models have, and the heads of peers.md part 3 (N, H, V).
DEVICE_CLASSES = (1000, 4096, 32000, 50257, 128256, 262144)
DEVICE_ROWS = 8192
DEVICE_HEADS = ((4096, 4096, 128256), (16384, 2048, 131072), (8192, 2304, 256000))
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


def device_table(device: str) -> list[Case]:
    """Every case of a device: losses of logits, both ways and forward, then linear heads."""
    logits = [
        Case(shape=(DEVICE_ROWS, classes), dtype=dtype, mode=mode, device=device)
        for dtype in ("bf16", "fp32")
        for classes in DEVICE_CLASSES
        for mode in (BOTH, FORWARD)
    ]
    heads = [
        Case(shape=(rows, classes), features=features, dtype="bf16", mode=mode, device=device)
        for rows, features, classes in DEVICE_HEADS
        for mode in (BOTH, FORWARD)
    ]
    return logits + heads + [replace(case, setting=MOSTLY_IGNORED) for case in heads if case.mode == BOTH]


def select(
    patterns: Sequence[str] = (), dtypes: Sequence[str] = (), *, quick: bool = False, device: str = CPU
) -> list[Case]:
    """The cases that a pattern means (a name; else ``*`` and ``?``, or a part of the name), in table order."""
    known = table() if device == CPU else device_table(device)
    names = {case.name for case in known}
    chosen = [case for case in known if not dtypes or case.dtype in dtypes]
    if quick:
        chosen = [case for case in chosen if case.name in QUICK or (device != CPU and case.shape[1] == 32000)]
    return [case for case in chosen if not patterns or any(_means(pattern, case.name, names) for pattern in patterns)]


def _means(pattern: str, name: str, names: set[str]) -> bool:
    if pattern in names:
        return pattern == name
    return fnmatch.fnmatchcase(name, pattern) if set(pattern) & set("*?[") else pattern in name


def by_name(name: str) -> Case:
    """The case of that name, also one that is not in a table: [device/][linear/]shape/dtype/mode[/setting]."""
    words = name.split("/")
    device = words.pop(0) if words[0] in (CUDA, STAND_IN) else CPU
    linear = words[0] == LINEAR
    shape, dtype, mode, *rest = words[linear:]
    setting = next(setting for setting in (PLAIN, MOSTLY_IGNORED, *SETTINGS) if setting.name == "".join(rest))
    sizes = tuple(map(int, shape.split("x")))
    features = sizes[1] if linear else 0
    sizes = (sizes[0], sizes[2]) if linear else sizes
    return Case(shape=sizes, dtype=dtype, mode=mode, setting=setting, device=device, features=features)
