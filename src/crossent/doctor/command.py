"""``crossent rule``: the page of a rule, or the table of all."""

from __future__ import annotations

import inspect
import sys
from typing import Annotated

import typer

from crossent.doctor.advice import Advice

Code = Annotated[
    str | None, typer.Argument(help="A code such as XEN101, a name, or an entry of the catalogue such as A1.")
]


def command(code: Code = None) -> None:
    """Show the page of one of the doctor's rules, or without a code the table of all."""
    from crossent.doctor.advice import without_rule
    from crossent.doctor.rules import table

    if code is None:
        for row in table.ROWS:
            print(f"{row.code}  {row.catalogue:<4} {row.severity:<8} {row.name}")
        for advice in without_rule(set(table.BY_CODE)).values():
            print(f"{advice.code}  {advice.catalogue:<4} {'error':<8} {advice.name} (an exception of torch's)")
        return
    for row in table.ROWS:
        if code.upper() in (row.code, row.catalogue) or code.lower() == row.name:
            print(f"{row.code} {row.name} ({row.severity}, catalogue {row.catalogue})\n")
            print(inspect.getdoc(table.rule(row)))
            return
    if _advice(code, without_rule(set(table.BY_CODE))) or _refusal(code.upper()):
        return
    print(f"crossent rule: there is no rule {code!r}; `crossent rule` lists all", file=sys.stderr)
    raise SystemExit(2)


def _advice(code: str, known: dict[str, Advice]) -> bool:
    """What only an exception of torch's shows."""
    for advice in known.values():
        if code.upper() in (advice.code, advice.catalogue) or code.lower() == advice.name:
            print(f"{advice.code} {advice.name} (error, catalogue {advice.catalogue})\n")
            print(f"what:        {advice.message}\nconsequence: {advice.consequence}\nfix:         {advice.fix}")
            print(f"detected by: torch's exception, {advice.text!r}")
            return True
    return False


def _refusal(code: str) -> bool:
    """XEN0xx: what crossent's own functions refuse."""
    from crossent.refusals import REFUSALS

    if code not in REFUSALS:
        return False
    refusal = REFUSALS[code]
    print(f"{code} {refusal.name} ({refusal.kind.__name__})\n")
    print(f"wrong:    {refusal.wrong}\nexpected: {refusal.expected}\nwrite:    {refusal.instead}")
    return True
