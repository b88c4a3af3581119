"""An explanation for rich's console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crossent.explain import heat, text
from crossent.explain.mistakes import Mistake
from crossent.explain.numbers import Explanation, RowView
from crossent.explain.words import say

WIDE = 96  # columns of a terminal; below, tables have no frames and short headings
NARROW = 60  # below, two of the columns are left out


def rendered(seen: Explanation, width: int = WIDE) -> Iterator[Any]:
    from rich.text import Text

    language = seen.request.language
    yield Text(say(language, "title"), style="bold")
    yield Text("\n".join(text.header(seen)), style="dim")
    for row in seen.rows:
        yield _row(seen, row, width)
        yield Text("\n".join(text.row_sentences(seen, row)))
    yield Text(f"\n{say(language, 'reduction')}", style="bold")
    yield Text(text.reduction(seen))
    yield Text(f"\n{say(language, 'same')}", style="bold")
    yield Text("\n".join(text.checks(seen)))
    if seen.loss_map is not None:
        yield Text(f"\n{say(language, 'map', image=seen.loss_map.image)}", style="bold")
        picture = heat.characters(seen.loss_map, min(heat.WIDEST, width))
        yield Text("\n".join([*picture, text.map_scale(seen), *text.map_classes(seen)]))
    if seen.profile is not None:
        yield Text(f"\n{say(language, 'profile')}", style="bold")
        yield Text("\n".join(text.profile_lines(seen, 30 if width >= NARROW else 10)))
        yield Text(text.profile_verdict(seen), style="bold red" if seen.profile.is_off else "dim")
    if seen.mistakes:
        yield from _mistakes(seen) if width >= WIDE else _mistakes_in_lines(seen)


def _row(seen: Explanation, row: RowView, width: int) -> Any:
    from rich.table import Table
    from rich.text import Text

    headings = text.columns(seen)
    shown = range(len(headings)) if width >= NARROW else (0, 1, 3, 5, 6)
    table = Table(title=text.row_title(seen, row), title_justify="left", title_style="bold")
    if width < WIDE:
        headings = [headings[0], "z", "z - max", "p", "log p", headings[5], ""]
        table.box, table.padding = None, (0, 1, 0, 0)
    for index in shown:
        table.add_column(headings[index], justify="right" if index else "left")
    for view in row.classes:
        cells = text.cells(seen, view)
        table.add_row(*(Text(cells[index]) for index in shown), style="bold green" if view.is_label else None)
    return table


def _mistakes(seen: Explanation) -> Iterator[Any]:
    from rich.table import Table
    from rich.text import Text

    language = seen.request.language
    table = Table(title=say(language, "mistakes"), title_justify="left", title_style="bold")
    for column in (say(language, "value"), "", "", say(language, "rule")):
        table.add_column(column)
    for mistake in seen.mistakes:
        name = Text(say(language, mistake.key) + _note(seen, mistake))
        table.add_row(f"{mistake.value:.4f}", Text(mistake.formula), name, mistake.code, style=_style(mistake))
    yield table


def _mistakes_in_lines(seen: Explanation) -> Iterator[Any]:
    from rich.text import Text

    language = seen.request.language
    yield Text(f"\n{say(language, 'mistakes')}", style="bold")
    for mistake in seen.mistakes:
        name = f"{say(language, mistake.key)} {mistake.code}".rstrip() + _note(seen, mistake)
        yield Text(f"{mistake.value:.4f}  {name}", style=_style(mistake) or "")
        yield Text(f"    {mistake.formula}", style="dim")


def _note(seen: Explanation, mistake: Mistake) -> str:
    return f" ({say(seen.request.language, 'seen')})" if mistake.is_seen else ""


def _style(mistake: Mistake) -> str | None:
    return "bold red" if mistake.is_seen and mistake.code else ("green" if not mistake.code else None)
