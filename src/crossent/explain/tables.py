"""An explanation for rich's console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crossent.explain import heat, text
from crossent.explain.numbers import Explanation
from crossent.explain.words import say


def rendered(seen: Explanation) -> Iterator[Any]:
    from rich.table import Table
    from rich.text import Text

    language = seen.request.language
    yield Text(say(language, "title"), style="bold")
    yield Text("\n".join(text.header(seen)), style="dim")
    for row in seen.rows:
        table = Table(title=text.row_title(seen, row), title_justify="left", title_style="bold")
        for column in text.columns(seen):
            table.add_column(column, justify="left" if column == text.columns(seen)[0] else "right")
        for view in row.classes:
            table.add_row(*map(Text, text.cells(seen, view)), style="bold green" if view.is_label else None)
        yield table
        yield Text("\n".join(text.row_sentences(seen, row)))
    yield Text(f"\n{say(language, 'reduction')}", style="bold")
    yield Text(text.reduction(seen))
    yield Text(f"\n{say(language, 'same')}", style="bold")
    yield Text("\n".join(text.checks(seen)))
    if seen.loss_map is not None:
        yield Text(f"\n{say(language, 'map', image=seen.loss_map.image)}", style="bold")
        yield Text("\n".join([*heat.characters(seen.loss_map), text.map_scale(seen), *text.map_classes(seen)]))
    if seen.profile is not None:
        yield Text(f"\n{say(language, 'profile')}", style="bold")
        yield Text("\n".join(text.profile_lines(seen)))
        yield Text(text.profile_verdict(seen), style="bold red" if seen.profile.is_off else "dim")
    if seen.mistakes:
        table = Table(title=say(language, "mistakes"), title_justify="left", title_style="bold")
        for column in (say(language, "value"), "", "", say(language, "rule")):
            table.add_column(column)
        for mistake in seen.mistakes:
            note = f" ({say(language, 'seen')})" if mistake.is_seen else ""
            name = Text(say(language, mistake.key) + note)
            style = "bold red" if mistake.is_seen and mistake.code else ("green" if not mistake.code else None)
            table.add_row(f"{mistake.value:.4f}", Text(mistake.formula), name, mistake.code, style=style)
        yield table
