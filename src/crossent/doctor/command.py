"""``crossent rule``: the page of a rule, or the table of all."""

from __future__ import annotations

import inspect
import sys
from typing import Annotated

import typer

Code = Annotated[
    str | None, typer.Argument(help="A code such as XEN101, a name, or an entry of the catalogue such as A1.")
]


def command(code: Code = None) -> None:
    """Show the page of one of the doctor's rules, or without a code the table of all."""
    from crossent.doctor.rules import table

    if code is None:
        for row in table.ROWS:
            print(f"{row.code}  {row.catalogue:<4} {row.severity:<8} {row.name}")
        return
    for row in table.ROWS:
        if code.upper() in (row.code, row.catalogue) or code.lower() == row.name:
            print(f"{row.code} {row.name} ({row.severity}, catalogue {row.catalogue})\n")
            print(inspect.getdoc(table.rule(row)))
            return
    if _refusal(code.upper()):
        return
    print(f"crossent rule: there is no rule {code!r}; `crossent rule` lists all", file=sys.stderr)
    raise SystemExit(2)


def _refusal(code: str) -> bool:
    """XEN0xx: what crossent's own functions refuse."""
    from crossent.refusals import REFUSALS

    if code not in REFUSALS:
        return False
    refusal = REFUSALS[code]
    print(f"{code} {refusal.name} ({refusal.kind.__name__})\n")
    print(f"wrong:    {refusal.wrong}\nexpected: {refusal.expected}\nwrite:    {refusal.instead}")
    return True
