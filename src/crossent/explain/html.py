"""An explanation as HTML: self-contained, no scripts, bars made of widths, light and dark, narrow and wide."""

from __future__ import annotations

from html import escape

from crossent.explain import heat, text
from crossent.explain.layouts import LossMap, Profile
from crossent.explain.numbers import ClassView, Explanation, RowView
from crossent.explain.words import say

SPARE = (2, 4)  # z - max, log probability
STYLE = """
.xee{--ink:#1d232b;--dim:#5a6572;--line:#d8dee6;--back:#fff;--box:#f3f6f9;--bar:#0b6fb8;--up:#0b6fb8;--down:#b4540a;
color:var(--ink);background:var(--back);font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1rem}
@media(prefers-color-scheme:dark){.xee{--ink:#e6eaf0;--dim:#9aa7b5;--line:#39424e;--back:#14181d;--box:#1c2229;
--bar:#5fb3f0;--up:#5fb3f0;--down:#ffab5e}}
.xee h1{font-size:1.3rem;margin:0 0 .5rem}.xee h2{font-size:1.05rem;margin:1.2rem 0 .4rem}
.xee p{margin:.25rem 0;overflow-wrap:anywhere}.xee .dim{color:var(--dim)}.xee .wide{overflow-x:auto}
.xee table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}.xee td,.xee th{padding:.2rem .6rem;
border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}.xee td:first-child,.xee th:first-child,
.xee td.left,.xee th.left{text-align:left;white-space:normal}.xee th{color:var(--dim);font-weight:600}
.xee tr.label td{font-weight:700;background:var(--box)}
.xee .track{display:inline-block;width:92px;text-align:left;margin-left:.5rem}
.xee .bar{display:inline-block;height:.7rem;background:var(--bar);border-radius:2px;
vertical-align:middle}
.xee .map{display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start}.xee .map img{width:320px;max-width:100%;
image-rendering:pixelated;border:1px solid var(--line);border-radius:4px}.xee .map>div{flex:1;min-width:16rem}
.xee .scale{height:.7rem;border-radius:2px}.xee .ends{display:flex;justify-content:space-between}
.xee .few{width:auto}.xee .long{display:inline-block;width:min(14rem,35vw)}
.xee .up{color:var(--up)}.xee .down{color:var(--down)}.xee code{font:13px/1.4 ui-monospace,monospace;
white-space:pre-wrap;overflow-wrap:anywhere}.xee tr.seen td{font-weight:700;background:var(--box)}
@media(max-width:34rem){.xee{padding:.6rem}.xee td,.xee th{padding:.2rem .25rem;font-size:.82rem}
.xee .spare{display:none}
.xee .track{width:40px}.xee th{white-space:normal}}
"""


def page(seen: Explanation) -> str:
    """A whole document."""
    return (
        f'<!doctype html><html lang="{seen.request.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{say(seen.request.language, 'title')}</title><style>body{{margin:0}}"
        "@media(prefers-color-scheme:dark){body{background:#14181d}}"
        f"</style></head><body>{body(seen)}</body></html>"
    )


def body(seen: Explanation) -> str:
    """A piece of a page, for notebooks too."""
    language = seen.request.language
    parts = [f"<style>{STYLE}</style><div class='xee'><h1>{say(language, 'title')}</h1>"]
    parts += [f"<p class='dim'>{escape(line)}</p>" for line in text.header(seen)]
    parts += [_row(seen, row) for row in seen.rows]
    parts.append(f"<h2>{say(language, 'reduction')}</h2><p><code>{escape(text.reduction(seen))}</code></p>")
    parts.append(f"<h2>{say(language, 'same')}</h2>")
    parts += [f"<p>{escape(line)}</p>" for line in text.checks(seen)]
    if seen.loss_map is not None:
        parts.append(_map(seen, seen.loss_map))
    if seen.profile is not None:
        parts.append(_profile(seen, seen.profile))
    if seen.mistakes:
        parts.append(_mistakes(seen))
    return "".join(parts) + "</div>"


def _row(seen: Explanation, row: RowView) -> str:
    head = _cells("th", [escape(column) for column in text.columns(seen)])
    lines = "".join(_class(seen, view) for view in row.classes)
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in text.row_sentences(seen, row))
    table = f"<div class='wide'><table><tr>{head}</tr>{lines}</table></div>"
    return f"<h2>{escape(text.row_title(seen, row))}</h2>{table}{sentences}"


def _class(seen: Explanation, view: ClassView) -> str:
    cells = [escape(cell.strip()) for cell in text.cells(seen, view)]
    bar = f"<span class='bar' style='width:{max(1.0, 100 * view.probability):.0f}%'></span>"
    cells[3] = f"{cells[3]}<span class='track'>{bar}</span>"
    if view.gradient:
        is_down = view.gradient > 0
        cells[6] = f"<span class='{'down' if is_down else 'up'}'>{'↓' if is_down else '↑'} {cells[6]}</span>"
    return f"<tr{' class=label' if view.is_label else ''}>{_cells('td', cells)}</tr>"


def _map(seen: Explanation, found: LossMap) -> str:
    language = seen.request.language
    stops = ",".join(f"rgb{colour}" for colour in heat.STOPS)
    title = escape(say(language, "map", image=found.image))
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.map_classes(seen))
    return (
        f"<h2>{title}</h2><div class='map'><img alt='{title}' src='{heat.data_url(found)}'"
        f" style='aspect-ratio:{found.width}/{found.height}'><div>"
        f"<p class='scale' style='background:linear-gradient(90deg,{stops})'></p>"
        f"<p class='ends dim'><span>0</span><span>{found.high:.4g}</span></p>"
        f"<p class='dim'>{escape(text.map_scale(seen))}</p>{lines}</div></div>"
    )


def _profile(seen: Explanation, found: Profile) -> str:
    language = seen.request.language
    dearest = max(loss for _, loss in found.losses) or 1.0
    lines = ""
    for shift, loss in found.losses:
        bar = f"<span class='long'><span class='bar' style='width:{100 * loss / dearest:.0f}%'></span></span>"
        note = say(language, "as_it_came") if shift == 0 else ""
        lines += (
            f"<tr{' class=label' if shift == found.best else ''}><td>{text.signed(shift)}</td><td>{loss:.4f}</td>"
            f"<td class='left'>{bar} {note}</td></tr>"
        )
    head = f"<tr><th>{say(language, 'shift')}</th><th>{say(language, 'value')}</th><th class='left'></th></tr>"
    verdict = f"<p class='{'down' if found.is_off else 'dim'}'>{escape(text.profile_verdict(seen))}</p>"
    table = f"<div class='wide'><table class='few'>{head}{lines}</table></div>"
    return f"<h2>{say(language, 'profile')}</h2>{table}{verdict}"


def _cells(tag: str, cells: list[str]) -> str:
    """A line of the table; on a narrow page the columns that can be worked out from the others are left out."""
    return "".join(f"<{tag}{' class=spare' if n in SPARE else ''}>{cell}</{tag}>" for n, cell in enumerate(cells))


def _mistakes(seen: Explanation) -> str:
    language = seen.request.language
    lines = ""
    for mistake in seen.mistakes:
        note = f" ← {say(language, 'seen')}" if mistake.is_seen else ""
        lines += (
            f"<tr{' class=seen' if mistake.is_seen else ''}><td>{mistake.value:.4f}</td>"
            f"<td class='left'><code>{escape(mistake.formula)}</code><br>{say(language, mistake.key)}{note}</td>"
            f"<td class='left'>{mistake.code}</td></tr>"
        )
    head = (
        f"<tr><th>{say(language, 'value')}</th><th class='left'></th><th class='left'>{say(language, 'rule')}</th></tr>"
    )
    return f"<h2>{say(language, 'mistakes')}</h2><div class='wide'><table>{head}{lines}</table></div>"
