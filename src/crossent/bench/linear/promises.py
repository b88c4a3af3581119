"""What was promised of a linear head on the CPU, and whether a result has it."""

from __future__ import annotations

from typing import Any, NamedTuple

from crossent.bench.linear.cases import Case
from crossent.bench.linear.providers import CHUNKED, ONE_PRODUCT, OURS, PLAIN, PRODUCTS

SHAPE = (2048, 768, 32000)  # rows, inputs, classes
PLAN_WITHIN = 1.10  # of the best plan's time: what the choice has promised


class Promise(NamedTuple):
    """``label`` takes at most ``most`` times as long as ``beside``."""

    label: str
    beside: str
    most: float
    dtype: str | None = None  # of one; None: of all

    def words(self, rows: dict[str, Any]) -> str:
        """The promise with the figure; '' where one of the two was not measured."""
        if self.label not in rows or self.beside not in rows:
            return ""
        found = rows[self.label]["median_ms"] / rows[self.beside]["median_ms"]
        return f"{verdict(found, self.most)} {self.label}: {found:.3f} of {self.beside} (at most {self.most:.3g})"


PROMISES = (
    Promise(OURS, PRODUCTS, 1.08, "fp32"),
    Promise(OURS, PRODUCTS, 1.25, "bf16"),
    Promise(f"{OURS}, 16-bit sums", PRODUCTS, 1.12, "bf16"),
    Promise(OURS, CHUNKED, 1 / 2, "fp32"),
    Promise(OURS, CHUNKED, 1 / 3.5, "bf16"),
    Promise(OURS, PLAIN, 1.0),
    Promise(f"{OURS}, 80% ignored", OURS, 0.27),
    Promise(f"{OURS}, frozen head", OURS, 0.70),
    Promise(f"{OURS}, no gradient", ONE_PRODUCT, 1.08),
)


def verdict(found: float, most: float) -> str:
    """One word, as wide as the other."""
    return "met   " if found <= most else "MISSED"


def lines(case: Case, rows: dict[str, Any]) -> list[str]:
    """Every promise about a case with what came out."""
    if (case.rows, case.features, case.classes) != SHAPE:
        return []
    found = (promise.words(rows) for promise in PROMISES if promise.dtype in (None, case.dtype))
    return [line for line in found if line]
