"""Random cases out of the same settings as the table: for Hypothesis and for the accuracy run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from arguments import STRIDES
from cases import DTYPES, NOT_FOR_NLL, REDUCTIONS, SETTINGS, Case, agree, joined, named

SHAPE_SETTINGS = {"class_last", "shift", "images"}  # the shape is drawn on its own
EXTRA = {"class_last": {"class_dim": -1}, "shift": {"class_dim": -1, "shift": 1}}
VALUES = ("normal", "normal", "normal", "log_probs", "equal", "offset_1e4")

Draw = Callable[[Sequence[Any]], Any]  # one of these


def draw_case(draw: Draw, *, largest: int, settings: int = 3, plain_strides: bool = False) -> Case:
    """A case; ``draw`` picks one of a sequence, simplest first."""
    function = draw(("cross_entropy", "nll_loss", "cross_entropy_with_stats"))
    names = [name for name in SETTINGS if name not in SHAPE_SETTINGS]
    if function == "nll_loss":
        names = [name for name in names if name not in NOT_FOR_NLL]
    chosen: list[str] = []
    for _ in range(draw(range(settings + 1))):
        fitting = [name for name in names if name not in chosen and agree(name, *chosen)]
        chosen.append(draw(fitting))
    layout = draw(("rows", "images", "class_last", "shift"))
    dimensions = {"rows": draw((2, 2, 1)), "images": draw((3, 4)), "class_last": draw((2, 3)), "shift": draw((2, 3))}[
        layout
    ]
    classes = max(1, draw((5, 1, 2, 3, 8, 17, 33, 64, 100, 511, 513, 1000, 1024, largest)))
    classes = max(2 if "ignore_a_class" in chosen else 1, min(classes, largest))
    most = max(1, largest // classes) if dimensions <= 2 else 3
    others = [max(1, min(most, draw((3, 1, 2, 5, 17, 65)))) for _ in range(dimensions - 1)]
    axis = dimensions - 1 if layout in EXTRA else min(1, dimensions - 1)
    others.insert(axis, classes)
    case = Case(
        name="",
        why="random",
        function=function,
        shape=tuple(others),
        dtype=draw(DTYPES),
        options={"reduction": draw(REDUCTIONS), **EXTRA.get(layout, {})},
        strides="contiguous" if plain_strides else draw([kind for kind in STRIDES if kind != "channels_last"]),
        others="contiguous" if plain_strides else draw(("contiguous", "strided")),
    )
    case = replace(case, values="log_probs" if function == "nll_loss" else draw(VALUES))
    return named(
        joined(case, *chosen), "random", function, layout, *chosen, "x".join(map(str, case.shape)), case.strides
    )


def random_cases(count: int, *, largest: int, seed: int = 0) -> list[Case]:
    """Distinct random cases."""
    source = random.Random(seed)
    return [
        replace(case, name=f"{case.name}-{index}")
        for index in range(count)
        for case in [draw_case(source.choice, largest=largest, plain_strides=True)]
    ]
