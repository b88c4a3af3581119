"""The shape of the tree: lengths, names, versions. Rules of CONTRIBUTING.md that a machine can check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "crossent").rglob("*.py"))
ALL_FILES = sorted(path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FILE_LINES, FUNCTION_LINES, KERNEL_LINES = 400, 50, 120

# "path" or "path::function" -> why it may be longer than the rule says.
WAIVERS: dict[str, str] = {}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            name = f"{prefix}{child.name}"
            if isinstance(child, Function):
                yield name, child
            yield from functions(child, f"{name}.")
        else:
            yield from functions(child, prefix)


def is_kernel(function: Function) -> bool:
    decorators = {ast.unparse(decorator).split("(")[0] for decorator in function.decorator_list}
    jitted = {name for name in decorators if name.split(".")[-1] == "njit" or name.endswith("triton.jit")}
    return bool(jitted) or function.name.endswith("_kernel")


def length(function: Function) -> int:
    """Lines from `def` to the last statement, the docstring not counted."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def too_long() -> Iterator[tuple[str, int, int]]:
    """(name, lines, ceiling) of every file and function above its ceiling."""
    for path in ALL_FILES:
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES:
            yield name_of(path), lines, FILE_LINES
        for name, function in functions(parse(path)):
            ceiling = KERNEL_LINES if is_kernel(function) else FUNCTION_LINES
            if (lines := length(function)) > ceiling:
                yield f"{name_of(path)}::{name}", lines, ceiling


def test_lengths() -> None:
    offenders = [f"{name}: {lines} lines, at most {most}" for name, lines, most in too_long() if name not in WAIVERS]
    assert not offenders, "\n".join(offenders)


def test_waivers_are_needed_and_have_a_reason() -> None:
    assert set(WAIVERS) <= {name for name, _, _ in too_long()}
    assert all(len(reason.split()) >= 4 for reason in WAIVERS.values())


def test_version_is_the_changelogs() -> None:
    version = re.search(r'__version__ = "(.+)"', (ROOT / "src/crossent/_version.py").read_text(encoding="utf-8"))
    heading = re.search(r"^## \[(.+?)\] - (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    citation = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert version and heading and citation
    assert version[1] == heading[1] == citation[1]
    assert heading[2] == "Unreleased" or re.fullmatch(r"\d{4}-\d{2}-\d{2}", heading[2])


def test_all_is_sorted() -> None:
    for path in SOURCES:
        for node in parse(path).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                names = ast.literal_eval(node.value)  # type: ignore[attr-defined]
                assert list(names) == sorted(names), name_of(path)


def test_no_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "common", "helpers", "misc"}
    assert not [name_of(path) for path in SOURCES if drawers & {path.stem, path.parent.name}]


def test_torch_distributed_is_imported_in_one_place() -> None:
    """import-linter sees packages other than ours only as a whole, so their parts are looked at here."""
    for path in SOURCES:
        if path.relative_to(ROOT / "src" / "crossent").parts[0] == "distributed":
            continue
        for node in ast.walk(parse(path)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [
                f"{modules[0]}.{a.name}" if modules else a.name
                for a in getattr(node, "names", [])
                if isinstance(a, ast.alias)
            ]
            assert not any(module.startswith("torch.distributed") for module in modules), name_of(path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_name_no_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(?:home|root|Users|tmp|work|opt|mnt|srv)/", text), "a path of somebody's machine"
    assert not re.search(r"[A-Z]:\\\w", text), "a path of somebody's machine"
    assert not re.search(r"\blocalhost\b|\b\d{1,3}(?:\.\d{1,3}){3}\b", text), "a host"


def test_readme_goes_with_the_package() -> None:
    assert (ROOT / "README.md").is_file()
    assert '\nreadme = "README.md"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
