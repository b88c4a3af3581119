"""What a report says in each of its formats, and what exceptions become."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import crossent
from crossent import doctor
from crossent.doctor.advice import ADVICE, Advice
from crossent.doctor.command import command as rule_command


def wrong_loss() -> torch.Tensor:
    logits = torch.linspace(-3, 3, 320).reshape(32, 10).requires_grad_()
    return F.cross_entropy(logits.softmax(1), torch.arange(32) % 10)


def test_report_formats(tmp_path: Path) -> None:
    report = doctor(wrong_loss())
    for name in ("r.html", "r.json", "r.sarif", "r.txt"):
        report.save(tmp_path / name)
    data = json.loads((tmp_path / "r.json").read_text())
    asked = {"code", "catalogue", "name", "severity", "confidence", "file", "line", "message", "evidence", "fix"}
    assert asked <= set(data["findings"][0])
    html = (tmp_path / "r.html").read_text()
    assert (
        "<script" not in html
        and "XEN101" in html
        and "prefers-color-scheme:dark" in html
        and "width=device-width" in html
    )
    with pytest.raises(ValueError, match=r"\.sarif"):
        report.save(tmp_path / "r.pdf")
    with pytest.raises(doctor.LossDoctorError, match="XEN101"):
        report.raise_if("warning")
    assert doctor.Report().raise_if("note").ok


def test_html_escapes_what_a_script_calls_its_files() -> None:
    (finding,) = doctor(wrong_loss()).findings
    fields = {name: getattr(finding, name) for name in finding.__slots__}
    report = doctor.Report([doctor.Finding(**{**fields, "file": "<img src=x>.py"})])
    assert "<img" not in report._repr_html_() and "&lt;img" in report._repr_html_()


def test_sarif_declares_all_rules() -> None:
    from crossent.doctor.rules import table

    log = doctor(wrong_loss()).to_sarif()
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == [row.code for row in table.ROWS]
    (result,) = run["results"]
    assert rules[result["ruleIndex"]] == result["ruleId"] == "XEN101"
    location = result["locations"][0]["physicalLocation"]
    assert location["region"]["startLine"] > 1 and not Path(location["artifactLocation"]["uri"]).is_absolute()
    assert result["partialFingerprints"]


def test_rich_shows_the_same() -> None:
    from rich.console import Console

    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(doctor(wrong_loss()))
    text = console.export_text()
    console.file.close()
    assert "XEN101 error" in text and "fix:" in text


# ---------------------------------------------------------------------------------------------------------- imports


@pytest.mark.parametrize("advice", ADVICE, ids=lambda advice: advice.text)
def test_a_code_that_only_an_exception_has_is_reported_and_shown(advice: Advice, capsys: pytest.CaptureFixture) -> None:
    """Every format takes it, and `crossent rule` knows it."""
    alternatives = {"XEN111": "'float' object has no attribute 'backward'", "XEN206": "not implemented for 'Long'"}
    said = alternatives.get(advice.code, advice.text.replace("\\", "").replace("'?str'?", "'str'"))
    report = doctor.explain_error(RuntimeError(said))
    assert report.codes == [advice.code] and report.findings[0].fix == advice.fix
    log = report.to_sarif()["runs"][0]
    (result,) = log["results"]
    assert log["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == advice.code
    rule_command(advice.code)
    assert advice.code in capsys.readouterr().out


def test_a_refusal_of_crossents_own_is_reported_in_every_format() -> None:
    try:
        crossent.cross_entropy(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), reduction="average")
    except ValueError as error:
        report = doctor.explain_error(error)
    (finding,) = report.findings
    assert finding.code.startswith("XEN0")
    assert json.dumps(report.to_sarif()) and report.to_json() and report.to_html()
