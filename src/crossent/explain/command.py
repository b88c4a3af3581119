"""``crossent explain``: a cross entropy from a file, spelled out."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

File = Annotated[
    Path, typer.Argument(help="Logits and labels: .npz, .safetensors, or .csv (C logits, then the label).")
]
Logits = Annotated[str | None, typer.Option(metavar="NAME", help="The array with the logits.")]
Target = Annotated[str | None, typer.Option(metavar="NAME", help="The array with the labels or probabilities.")]
IgnoreIndex = Annotated[int, typer.Option(help="The label of rows that do not count, e.g. 255 of masks.")]
Reduction = Annotated[str, typer.Option(metavar="mean|sum|none", help="As the loss that you call.")]
Smoothing = Annotated[float, typer.Option(help="As the loss that you call, 0 to 1.")]
ClassDim = Annotated[
    int | None, typer.Option(help="The dimension of the classes, -1 for (B, T, V) logits; dimension 1 unless given.")
]
Samples = Annotated[int, typer.Option(help="How many rows are spelled out, 1 to 20.")]
Top = Annotated[int, typer.Option(help="How many classes of a row are shown.")]
Language = Annotated[str, typer.Option(metavar="en|zh", help="English or Chinese.")]
Worst = Annotated[bool, typer.Option("--worst", help="Show the rows that cost most.")]
Seen = Annotated[float | None, typer.Option("--loss", help="The loss that you see: compared with common mistakes.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write .html, .png or .txt in place of the terminal.")]


def command(
    file: File,
    logits: Logits = None,
    target: Target = None,
    ignore_index: IgnoreIndex = -100,
    reduction: Reduction = "mean",
    label_smoothing: Smoothing = 0.0,
    class_dim: ClassDim = None,
    samples: Samples = 3,
    worst: Worst = False,
    top: Top = 5,
    loss: Seen = None,
    language: Language = "en",
    out: Out = None,
) -> None:
    """Spell out what a cross entropy is made of, on your own logits and labels."""
    from crossent.errors import is_refusal
    from crossent.explain import numbers, reading

    try:
        if out is not None:
            _check_out(out)
        data = reading.read(file, logits, target)
        request = numbers.Request(
            ignore_index, reduction, label_smoothing, class_dim, data.names, samples, worst, top, loss, language
        )
        seen = numbers.explanation(data.logits, data.target, None, request)
        if out is not None:
            seen.save(out)
            return
    except Exception as error:
        if not isinstance(error, reading.UnreadableError | OSError | ImportError) and not is_refusal(error):
            raise
        print(f"crossent explain: {error}{_here(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(seen)
    else:
        print(seen)


def _check_out(out: Path) -> None:
    """Before anything is computed."""
    from crossent.explain.reading import UnreadableError

    if out.suffix not in (".html", ".png", ".txt"):
        raise UnreadableError(f"--out is {out}; expected a name in .html, .png or .txt; write: --out explain.html")
    if not out.parent.is_dir():
        raise UnreadableError(f"--out is {out}, and there is no folder {out.parent}; write: --out {out.name}")


OPTION = re.compile(r"\b(class_dim|ignore_index|label_smoothing|reduction|loss)='?([-\w.]+)")


def _here(refusal: str) -> str:
    """What a refusal tells to write, as an option of this command."""
    _, _, advice = refusal.partition("  write: ")
    options = dict.fromkeys(f"--{name.replace('_', '-')} {value}" for name, value in OPTION.findall(advice))
    return f"\n  here:     {' or '.join(options)}" if options else ""
