"""An explanation as a picture: probabilities and gradients of each shown row, and the mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from crossent.explain import text
from crossent.explain.numbers import Explanation
from crossent.explain.words import say

BAR, LABEL, UP, DOWN = "#7aa6c9", "#0b6fb8", "#0b6fb8", "#b4540a"
CHINESE = ("Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei", "WenQuanYi Zen Hei")


def draw(seen: Explanation, path: Path) -> None:
    """Write a PNG. Where no Chinese font is installed, the picture speaks English."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib; install it: pip install matplotlib") from None
    language = _language(seen.request.language)
    rows = seen.rows[:6]
    lines = max(1, len(rows)) + (seen.loss_map is not None or seen.profile is not None)
    figure: Any = Figure(figsize=(9, 1.2 + 2.1 * lines), layout="constrained")
    axes = figure.subplots(lines, 2, squeeze=False)
    for row, (left, right) in zip(rows, axes, strict=False):
        names = [view.name for view in row.classes]
        left.barh(names, [view.probability for view in row.classes], color=_colours(row.classes))
        left.set_xlim(0, 1)
        left.set_title(f"{_title(seen, row, language)}: {say(language, 'probability_of')}", fontsize=9, loc="left")
        colours = [DOWN if view.gradient > 0 else UP for view in row.classes]
        right.barh(names, [view.gradient for view in row.classes], color=colours)
        right.axvline(0, color="#555", linewidth=0.8)
        title = f"{say(language, 'gradient')}; loss {row.loss:.4f}, {row.share:.1%}"
        right.set_title(title, fontsize=9, loc="left")
        for axis in (left, right):
            axis.invert_yaxis()
            axis.tick_params(labelsize=8)
    _draw_layout(seen, axes[-1], language)
    figure.suptitle(f"{text.reduction(seen).split('    ')[0]}", fontsize=10)
    figure.savefig(path, dpi=150)


def _draw_layout(seen: Explanation, axes: Any, language: str) -> None:
    """The last line: the map of a segmentation, or the alignment of a sequence."""
    left, right = axes
    if seen.loss_map is not None:
        found = seen.loss_map
        cells = [[math.nan if value is None else value for value in row] for row in found.cells]
        shown = left.imshow(cells, cmap="cividis", vmin=0, extent=(0, found.width, found.height, 0))
        left.figure.colorbar(shown, ax=left)
        left.set_title(say(language, "map", image=found.image), fontsize=9, loc="left")
        right.barh([part.name for part in found.classes], [part.share for part in found.classes], color=BAR)
        right.invert_yaxis()
        right.xaxis.set_major_formatter("{x:.0%}")
        right.set_title(say(language, "class"), fontsize=9, loc="left")
    elif seen.profile is not None:
        names = [text.signed(shift) for shift, _ in seen.profile.losses]
        colours = [LABEL if shift == seen.profile.best else BAR for shift, _ in seen.profile.losses]
        left.barh(names, [loss for _, loss in seen.profile.losses], color=colours)
        left.invert_yaxis()
        left.set_title(say(language, "profile"), fontsize=9, loc="left")
        right.axis("off")
        right.text(
            0, 0.5, text.profile_verdict(seen) if language == seen.request.language else "", fontsize=8, wrap=True
        )
    else:
        return
    for axis in (left, right):
        axis.tick_params(labelsize=8)


def _colours(classes: Any) -> list[str]:
    return [LABEL if view.is_label else BAR for view in classes]


def _title(seen: Explanation, row: Any, language: str) -> str:
    label = "" if row.label is None else ", " + say(language, "label", name=row.label)
    return say(language, "sample", index=row.index) + label


def _language(wanted: str) -> str:
    if wanted != "zh":
        return wanted
    from matplotlib import font_manager, rcParams

    known = {font.name for font in font_manager.fontManager.ttflist}
    for name in CHINESE:
        if name in known:
            rcParams["font.family"] = [name, "sans-serif"]
            return "zh"
    return "en"
