"""Every example runs: the doctests of the package, and the fenced Python of the README and the docs."""

from __future__ import annotations

import doctest
import importlib.util
import pkgutil
import re
import warnings
from pathlib import Path

import pytest
import torch

import crossent

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
OPTIONAL = re.compile(r"^from (transformers) import", re.MULTILINE)  # without it the block is left out
# Importing these needs an optional dependency, starts a program, or is itself an entry point.
UNIMPORTABLE = ("crossent.__main__", "crossent.run._spawned", "crossent.backends.gpu")


def modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages(crossent.__path__, "crossent.")]
    return [name for name in found if not name.startswith(UNIMPORTABLE)]


def blocks(page: Path) -> list[str]:
    return FENCE.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name: str) -> None:
    module = importlib.import_module(name)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples of {name} print something else"


def test_public_functions_have_examples() -> None:
    lacking = [name for name in crossent.__all__ if callable(getattr(crossent, name)) and not _has_example(name)]
    assert lacking == [], "public docstrings end with an example that runs"


def _has_example(name: str) -> bool:
    documented = getattr(crossent, name)
    return name in ("CrossEntropyStats", "LinearCrossEntropyStats", "unpatch") or ">>>" in (documented.__doc__ or "")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_page_examples(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    namespace: dict[str, object] = {"__name__": page.stem}
    for number, block in enumerate(blocks(page), 1):
        if any(importlib.util.find_spec(name) is None for name in OPTIONAL.findall(block)):
            continue
        code = compile(block, f"{page.name}, block {number}", "exec")
        exec(code, namespace)


def test_the_readme_has_examples() -> None:
    assert blocks(ROOT / "README.md"), "or the test above tests nothing"


def test_links_between_pages_exist() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
