"""A report as HTML: self-contained, no scripts, light and dark by the reader's setting, narrow and wide."""

from __future__ import annotations

from html import escape
from typing import Any

from crossent.doctor.finding import Finding
from crossent.doctor.report import Report

STYLE = """
.xen{--ink:#1d232b;--dim:#5a6572;--line:#d8dee6;--back:#fff;--box:#f6f8fa;--error:#b3261e;--warning:#8a5a00;--note:#0b5fa5;
color:var(--ink);background:var(--back);font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem}
@media(prefers-color-scheme:dark){.xen{--ink:#e6eaf0;--dim:#9aa7b5;--line:#39424e;--back:#14181d;--box:#1c2229;
--error:#ff8a80;--warning:#ffc46b;--note:#83c5ff}}
.xen h1{font-size:1.25rem;margin:0 0 .8rem}.xen h2{font-size:1rem;margin:0 0 .4rem;display:flex;
flex-wrap:wrap;gap:.2rem .7rem}
.xen article{border:1px solid var(--line);border-left:6px solid var(--level);border-radius:6px;
padding:.7rem .9rem;margin:0 0 .9rem}
.xen .error{--level:var(--error)}.xen .warning{--level:var(--warning)}.xen .note{--level:var(--note)}
.xen .level{color:var(--level);font-weight:700}.xen p{margin:.25rem 0;overflow-wrap:anywhere}.xen .dim{color:var(--dim)}
.xen code,.xen .place{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
.xen details{margin-top:.4rem}.xen table{border-collapse:collapse;width:100%}.xen td{border-top:1px solid var(--line);
padding:.15rem .5rem .15rem 0;vertical-align:top;overflow-wrap:anywhere}.xen td:first-child{color:var(--dim);width:9rem}
.xen summary{cursor:pointer;color:var(--dim)}
"""


def page(report: Report) -> str:
    """A whole document."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        "<title>crossent doctor</title><style>body{margin:0}@media(prefers-color-scheme:dark){body{background:#14181d}}"
        f"</style></head><body>{body(report)}</body></html>"
    )


def body(report: Report) -> str:
    """A piece of a page, for notebooks too."""
    parts = [f"<style>{STYLE}</style><div class='xen'><h1>crossent doctor: {escape(report.summary)}</h1>"]
    parts += [_article(finding) for finding in report.findings]
    parts += [f"<p class='dim'>Not looked at: {escape(limit)}</p>" for limit in report.limits]
    return "".join(parts) + "</div>"


def _article(finding: Finding) -> str:
    rows = "".join(_evidence(name, value) for name, value in finding.evidence.items())
    return (
        f"<article class='{finding.severity}'><h2><span class='level'>{finding.code} {finding.severity}</span>"
        f"<span>{escape(finding.name)}</span><span class='dim'>{finding.confidence} confidence</span></h2>"
        f"<p class='place'>{escape(finding.file)}:{finding.line}</p><p>{escape(finding.message)}</p>"
        f"<p><b>Consequence:</b> {escape(finding.consequence)}</p><p><b>Fix:</b> {escape(finding.fix)}</p>"
        f"<details><summary>Evidence</summary><table>{rows}</table></details></article>"
    )


def _evidence(name: str, value: Any) -> str:
    return f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>"
