"""``crossent warmup``: compile the kernels now, so that the first training step does not wait for it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

DTYPES = ("float32", "bfloat16", "float16", "float64")

Dtype = Annotated[
    list[str] | None, typer.Option("--dtype", metavar="|".join(DTYPES), help="Only this dtype; may be repeated.")
]


def command(dtype: Dtype = None) -> None:
    """Compile and cache every kernel that the available engines have for these dtypes, and call each loss once."""
    unknown = sorted(set(dtype or ()) - set(DTYPES))
    if unknown:
        typer.echo(f"crossent warmup: --dtype is {unknown[0]!r}; expected one of {', '.join(DTYPES)}", err=True)
        raise typer.Exit(2)
    import torch

    from crossent import dispatch

    for engine, reason in dispatch.backends():
        if engine == "reference":  # plain torch: nothing to compile
            continue
        if reason is not None:
            typer.echo(f"{engine}: not available: {reason}")
            continue
        compile_all = getattr(dispatch.load(engine), "warmup", None)
        if compile_all is not None:
            began = time.perf_counter()
            count = compile_all([getattr(torch, name) for name in dtype or DTYPES])
            typer.echo(f"{engine}: ready after {time.perf_counter() - began:.1f} s, {count} kernels compiled")
        for name in dtype or DTYPES:
            typer.echo(f"{engine} {name}: {_warm(engine, name)}")


def _warm(engine: str, dtype: str) -> str:
    """Run every loss forward and backward on a few rows."""
    import torch

    began = time.perf_counter()
    device = "cuda" if engine == "gpu" else "cpu"
    logits = torch.randn(8, 16, device=device, dtype=getattr(torch, dtype), requires_grad=True)
    target = torch.arange(8, device=device)
    try:
        for loss in _losses(logits, target, engine):
            torch.autograd.grad(loss.sum(), logits)
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        return f"not served: {(str(error) or type(error).__name__).splitlines()[0]}"
    return f"ready after {time.perf_counter() - began:.1f} s"


def _losses(logits: Any, target: Any, engine: str) -> Any:
    import crossent

    yield crossent.cross_entropy(logits, target, backend=engine)
    yield crossent.cross_entropy(logits, target, label_smoothing=0.1, reduction="none", backend=engine)
    yield crossent.cross_entropy(logits, logits.detach().softmax(1), backend=engine)
    yield crossent.cross_entropy_with_stats(logits, target, backend=engine).entropy
    yield crossent.log_softmax(logits, 1, backend=engine)
    yield crossent.nll_loss(logits, target, backend=engine)
