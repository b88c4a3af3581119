"""Ask the rules. A rule that cannot be evaluated never disturbs the training: it is named in the report."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from crossent.doctor.finding import Finding, Found, Place, Row, finding
from crossent.doctor.record import CallRecord
from crossent.doctor.rules import table

WAYS = {  # what is looked at -> the functions of a rule that are asked, in this order
    "call": ("from_graph", "from_values"),
    "error": ("from_error",),
    "backward": ("from_backward",),
    "step": ("from_step",),
    "accumulation": ("from_accumulation",),
    "evaluation": ("from_evaluation",),
    "batch": ("from_batch",),
    "crosscheck": ("from_crosscheck",),
    "overfit": ("from_overfit",),
}
_rules: dict[str, list[tuple[Row, tuple[Any, ...], ModuleType]]] = {}


def call(record: CallRecord) -> tuple[list[Finding], list[str]]:
    """The findings about one call, and what could not be looked at."""
    findings, limits = _ask(record.function, "call", record, record.place, record.function)
    return findings, limits + limits_of(record)


def refused(record: CallRecord) -> tuple[list[Finding], list[str]]:
    """The findings about a call that raised."""
    return _ask("error", "error", record, record.place, record.function)


def moment(kind: str, facts: Any, place: Place, function: str = "") -> tuple[list[Finding], list[str]]:
    """The findings about anything else: a backward, a batch, ..."""
    return _ask(kind, kind, facts, place, function or kind)


def limits_of(record: CallRecord) -> list[str]:
    """What the doctor could not see of this call, in words."""
    limits: list[str] = []
    if record.blind is not None:
        limits.append(f"{record.place}: values were not read ({record.blind}); only the graph was")
    if record.hidden is not None:
        limits.append(f"{record.place}: {record.function} makes no logits; target, result and hidden states were seen")
    if record.chain.opaque is not None:
        limits.append(f"{record.place}: the graph is opaque ({record.chain.opaque}); values were tested in its place")
    elif record.source.grad_fn is None and record.source.requires_grad is False and record.grad_enabled is False:
        limits.append(f"{record.place}: no graph (gradients are off); values were tested")
    return limits


def _ask(what: str, way: str, facts: Any, place: Place, function: str) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    limits: list[str] = []
    for row, functions, rule in _rules_for(what, way):
        try:
            found = _first(functions, facts)
            if found is not None:
                findings.append(finding(row, rule, found, place, function))
        except Exception as problem:
            limits.append(f"{place}: {row.code} could not be evaluated: {type(problem).__name__}: {problem}")
    return findings, limits


def _first(functions: tuple[Any, ...], facts: Any) -> Found | None:
    for function in functions:
        found = function(facts)
        if found is not None:
            return found
    return None


def _rules_for(what: str, way: str) -> list[tuple[Row, tuple[Any, ...], ModuleType]]:
    if what not in _rules:
        rules = [(row, table.rule(row)) for row in table.looking_at(what)]
        _rules[what] = [(row, _asked(rule, way), rule) for row, rule in rules]
    return _rules[what]


def _asked(rule: ModuleType, way: str) -> tuple[Any, ...]:
    return tuple(getattr(rule, name) for name in WAYS[way] if hasattr(rule, name))
