"""An explanation as plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crossent.explain import heat
from crossent.explain.numbers import Explanation, RowView
from crossent.explain.words import say


def text(seen: Explanation) -> str:
    return "\n".join(lines(seen))


def lines(seen: Explanation) -> Iterator[str]:
    language = seen.request.language
    yield say(language, "title")
    yield from (f"  {line}" for line in header(seen))
    for row in seen.rows:
        yield ""
        yield row_title(seen, row)
        yield from _table(seen, row)
        yield from (f"  {line}" for line in row_sentences(seen, row))
    yield ""
    yield say(language, "reduction")
    yield f"  {reduction(seen)}"
    yield ""
    yield say(language, "same")
    yield from (f"  {line}" for line in checks(seen))
    if seen.loss_map is not None:
        yield ""
        yield say(language, "map", image=seen.loss_map.image)
        yield from (f"  {line}" for line in heat.characters(seen.loss_map))
        yield f"  {map_scale(seen)}"
        yield from (f"  {line}" for line in map_classes(seen))
    if seen.profile is not None:
        yield ""
        yield say(language, "profile")
        yield from (f"  {line}" for line in profile_lines(seen))
        yield f"  {profile_verdict(seen)}"
    if seen.mistakes:
        yield ""
        yield say(language, "mistakes")
        for mistake in seen.mistakes:
            note = f"   <- {say(language, 'seen')}" if mistake.is_seen else ""
            name = say(language, mistake.key)
            yield f"  {mistake.value:>10.4f}  {mistake.formula:<45} {name} {mistake.code}{note}".rstrip()


def map_scale(seen: Explanation) -> str:
    found = seen.loss_map
    assert found is not None
    return say(seen.request.language, "map_scale", height=found.height, width=found.width, high=found.high)


def map_classes(seen: Explanation) -> list[str]:
    assert seen.loss_map is not None
    return [
        say(seen.request.language, "map_class", name=part.name, count=part.count, mean=part.mean, share=part.share)
        for part in seen.loss_map.classes
    ]


def profile_lines(seen: Explanation, bar: int = 30) -> list[str]:
    assert seen.profile is not None
    language = seen.request.language
    dearest = max(loss for _, loss in seen.profile.losses) or 1.0
    return [
        f"{signed(shift):>2}  {loss:9.4f}  {'#' * round(bar * loss / dearest):<{bar}}"
        f"  {say(language, 'as_it_came') if shift == 0 else ''}".rstrip()
        for shift, loss in seen.profile.losses
    ]


def signed(shift: int) -> str:
    return f"{shift:+d}" if shift else "0"


def profile_verdict(seen: Explanation) -> str:
    found = seen.profile
    assert found is not None
    key = "profile_off" if found.is_off else "profile_right"
    return say(seen.request.language, key, best=signed(found.best), margin=found.margin, code=found.code)


def header(seen: Explanation) -> list[str]:
    language = seen.request.language
    kind = say(language, "index" if seen.is_index else "probability")
    prior = "-" if seen.prior_entropy is None else f"{seen.prior_entropy:.4f}"
    return [
        say(
            language, "batch", shape=seen.shape, dtype=seen.dtype, class_dim=seen.class_dim, rows=seen.row_count,
            classes=seen.class_count,
        ),
        say(language, "targets", valid=seen.valid, ignored=seen.ignored, kind=kind),
        say(language, "baselines", classes=seen.class_count, chance=seen.chance, prior=prior),
    ]  # fmt: skip


def row_title(seen: Explanation, row: RowView) -> str:
    language = seen.request.language
    if row.label is None:
        what = say(language, "distribution")
    else:
        what = say(language, "label", name=next(view.name for view in row.classes if view.is_label))
    return f"{say(language, 'sample', index=row.index)}, {what}"


def columns(seen: Explanation) -> list[str]:
    keys = ("class", "logit", "shifted", "probability_of", "log_probability", "gradient", "push")
    return [say(seen.request.language, key) for key in keys]


def cells(seen: Explanation, view: Any) -> list[str]:
    push = say(seen.request.language, "down" if view.gradient > 0 else "up") if view.gradient else "-"
    return [
        f"{'*' if view.is_label else ' '}{view.name}", f"{view.logit:.4f}", f"{view.shifted:.4f}",
        f"{view.probability:.4f}", f"{view.log_probability:.4f}", f"{view.gradient:+.5f}", push,
    ]  # fmt: skip


def _table(seen: Explanation, row: RowView) -> Iterator[str]:
    table = [columns(seen), *(cells(seen, view) for view in row.classes)]
    widths = [max(_width(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        padded = [cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)]
        yield ("  " + "  ".join(padded)).rstrip()


def _width(cell: str) -> int:
    """Columns on a terminal: Chinese characters take two."""
    return sum(2 if ord(character) > 0x2E7F else 1 for character in cell)


def row_sentences(seen: Explanation, row: RowView) -> list[str]:
    language, smoothing = seen.request.language, seen.request.label_smoothing
    key = "steps_distribution" if row.label is None else "steps"
    own = next((view.logit for view in row.classes if view.is_label), 0.0)
    sentences = [
        say(
            language,
            key,
            largest=row.largest,
            lse=row.logsumexp,
            z=f"{own:.4f}" if own >= 0 else f"({own:.4f})",
            plain=row.plain,
        )
    ]
    if row.weight != 1 or smoothing:
        sentences.append(say(language, "weighted", weight=row.weight, smoothing=smoothing, loss=row.loss))
    sentences.append(say(language, "contribution", share=row.share, rank=row.rank, margin=row.margin))
    return sentences


def reduction(seen: Explanation) -> str:
    language = seen.request.language
    terms = " + ".join(f"{term:.4f}" for term in seen.first_terms) or "0"
    terms += " + ..." if seen.valid > len(seen.first_terms) else ""
    if seen.request.reduction == "none":
        return f"{say(language, 'none')} {terms} = {seen.loss:.6f}"
    what = say(language, "divided_by", below=seen.denominator, what=say(language, seen.denominator_is))
    return f"({terms}) / {seen.denominator:.6g} = {seen.loss:.6f}    {what}"


def checks(seen: Explanation) -> list[str]:
    language = seen.request.language
    found = [f"{seen.torch_loss:.6f}  {say(language, 'by_torch')}"]
    if seen.nll_of_log_softmax is not None:
        found.append(f"{seen.nll_of_log_softmax:.6f}  {say(language, 'by_nll')}")
    return [*found, say(language, "gradient_check", difference=seen.gradient_difference)]
