"""Findings as SARIF 2.1.0. All rules are declared, fired or not, so that code scanning closes what was fixed."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from crossent._version import __version__
from crossent.doctor.finding import Finding, Row
from crossent.doctor.rules import table

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def log(findings: Iterable[Finding]) -> dict[str, Any]:
    findings = list(findings)
    rules = {row.code: _rule(row) for row in table.ROWS}
    for finding in findings:  # exceptions of torch's and refusals of crossent's have codes without a rule
        rules.setdefault(finding.code, _bare_rule(finding))
    driver = {
        "name": "crossent", "version": __version__, "semanticVersion": __version__, "rules": list(rules.values()),
    }  # fmt: skip
    results = [_result(finding, list(rules).index(finding.code)) for finding in findings]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(row: Row) -> dict[str, Any]:
    page = inspect.getdoc(table.rule(row)) or ""
    return {
        "id": row.code,
        "name": _camel(row.name),
        "shortDescription": {"text": page.splitlines()[0]},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": row.severity},
        "properties": {"precision": "high", "catalogue": row.catalogue},
    }


def _bare_rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.code,
        "name": _camel(finding.name),
        "shortDescription": {"text": finding.message},
        "help": {"text": finding.fix, "markdown": finding.fix},
        "defaultConfiguration": {"level": finding.severity},
    }


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    uri = PurePath(finding.file).as_posix()
    print_of = hashlib.sha256(f"{finding.code}:{uri}:{finding.line}".encode()).hexdigest()
    region = {"startLine": max(1, finding.line)}
    return {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": finding.severity,
        "message": {"text": f"{finding.message} Consequence: {finding.consequence} Fix: {finding.fix}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}],
        "partialFingerprints": {"primaryLocationLineHash": print_of[:32]},
        "properties": {"precision": finding.confidence, "evidence": finding.evidence},
    }
