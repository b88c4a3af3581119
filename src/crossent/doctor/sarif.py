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
    driver = {
        "name": "crossent",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(row) for row in table.ROWS],
    }
    results = [_result(finding) for finding in findings]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(row: Row) -> dict[str, Any]:
    page = inspect.getdoc(table.rule(row)) or ""
    return {
        "id": row.code,
        "name": "".join(part.capitalize() for part in row.name.split("-")),
        "shortDescription": {"text": page.splitlines()[0]},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": row.severity},
        "properties": {"precision": "high", "catalogue": row.catalogue},
    }


def _result(finding: Finding) -> dict[str, Any]:
    uri = PurePath(finding.file).as_posix()
    print_of = hashlib.sha256(f"{finding.code}:{uri}:{finding.line}".encode()).hexdigest()
    region = {"startLine": max(1, finding.line)}
    return {
        "ruleId": finding.code,
        "ruleIndex": [row.code for row in table.ROWS].index(finding.code),
        "level": finding.severity,
        "message": {"text": f"{finding.message} Consequence: {finding.consequence} Fix: {finding.fix}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}],
        "partialFingerprints": {"primaryLocationLineHash": print_of[:32]},
        "properties": {
            "precision": finding.confidence if finding.confidence != "low" else "low",
            "evidence": finding.evidence,
        },
    }
