"""What torch accepts and refuses, row by row: the same result, or the same exception with the same words.

Every row is a call that is made with torch's function and with ours; nothing is expected by hand, so the
rows hold in every version of torch. ``Row.torch_serves`` marks the few that only torch itself can answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import crossent
from serving import BACKENDS, EXPLICIT, expected_server, first_line, outcome, serving

pytestmark = [
    pytest.mark.usefixtures("no_small_calls"),
    pytest.mark.filterwarnings("ignore:Casting complex values to real:UserWarning"),
    pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning"),
]

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool)
OTHERS = (torch.int64, *INTEGERS, torch.complex64, torch.float8_e4m3fn)
BOTH = ("cross_entropy", "nll_loss")


@dataclass(frozen=True)
class Row:
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    functions: tuple[str, ...] = ("cross_entropy",)
    torch_serves: bool = False


def x(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + len(shape)))
    return values.mul(3).to(dtype) if not dtype.is_floating_point or dtype.itemsize > 1 else values.to(dtype)


def y(*shape: int, classes: int = 4, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    return torch.randint(max(classes, 1), shape, generator=torch.Generator().manual_seed(len(shape))).to(dtype)


def p(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return x(*shape).softmax(1 if len(shape) > 1 else 0).to(dtype)


def reductions(name: str, *args: Any, functions: tuple[str, ...] = BOTH, **kwargs: Any) -> Iterator[Row]:
    for reduction in ("mean", "sum", "none"):
        yield Row(f"{name} {reduction}", args, {"reduction": reduction, **kwargs}, functions)


def shapes() -> Iterator[Row]:
    """torch.md 1.2: unbatched, batched, K dimensions; and what does not fit."""
    good = [((4,), ()), ((3, 4), (3,)), ((1, 4), (1,))]
    good += [((2, 4, *rest), (2, *rest)) for rest in ((3,), (3, 2), (3, 2, 2), (1, 2, 1, 3))]
    bad = [((4,), (3,)), ((4,), (1, 1)), ((3, 4), ()), ((1, 4), ()), ((3, 4), (2,)), ((3, 4), (3, 1)), ((3, 4), (1, 3))]
    bad += [((2, 4, 3), (2, 5)), ((2, 4, 3), (2,)), ((2, 4, 3), (3, 3)), ((2, 4, 3), (2, 3, 1)), ((2, 4, 3), (2, 4))]
    bad += [((2, 4, 3, 5), (2, 5, 3)), ((2, 4, 3, 5), (2, 3)), ((2, 4, 3, 5), (2, 4, 3, 5)), ((2, 3, 4), (2, 3))]
    bad += [((2, 4, 3, 5), (1, 2, 3, 5)), ((2, 4, 3, 2, 2), (2, 3, 2)), ((2, 4, 3, 2, 2), (2, 4, 3, 2, 2))]
    bad += [((1,), (1,)), ((), ()), ((), (1,)), ((4,), (4,)), ((3, 4), (3, 4)), ((3, 4), (4,)), ((4, 4), (4, 4))]
    for input, target in good + bad:
        yield from reductions(f"{input} {target}", x(*input), y(*target))
        yield from reductions(f"{input} {target} float", x(*input), x(*target))
    for shape in ((4,), (3, 4), (2, 4, 3), (2, 4, 3, 2), (2, 4, 1, 2, 2), (1, 1)):
        yield from reductions(f"probabilities {shape}", x(*shape), p(*shape))


def empties() -> Iterator[Row]:
    """torch.md 1.2: no samples, no positions, no classes."""
    yield from reductions("empty, no classes", x(0, 0), y(0))
    for input in ((0, 4), (0, 4, 3), (2, 4, 0), (2, 4, 3, 0), (0, 4, 0)):
        target = (input[0], *input[2:])
        yield from reductions(f"empty {input}", x(*input), y(*target))
        yield from reductions(f"empty probabilities {input}", x(*input), x(*input), functions=("cross_entropy",))
        yield from reductions(f"empty smoothed {input}", x(*input), y(*target), functions=BOTH[:1], label_smoothing=0.1)
    yield from reductions("no classes", x(2, 0), torch.tensor([1, 1]))
    yield from reductions("no classes unbatched", x(0), y())
    yield from reductions("no classes, all ignored", x(2, 0), torch.tensor([-100, -100]))
    yield from reductions("no classes, all ignored, weights", x(2, 0), torch.tensor([-100, -100]), torch.ones(0))
    for reduction in ("sum", "none"):  # the mean differs: test_where_torch_is_wrong_about_nothing
        yield Row(f"no classes, probabilities {reduction}", (x(2, 0), x(2, 0)), {"reduction": reduction})
    yield from reductions("all ignored", x(2, 4), torch.tensor([-100, -100]))
    yield from reductions("all ignored, unbatched", x(4), torch.tensor(-100))
    yield from reductions("all ignored, K", x(2, 4, 3), torch.full((2, 3), 1), ignore_index=1)
    yield from reductions("zero weights", x(2, 4), y(2), weight=torch.zeros(4))
    yield from reductions("zero weights unbatched", x(4), y(), weight=torch.zeros(4))
    yield from reductions("one class", x(3, 1), torch.zeros(3, dtype=torch.int64))


def dtypes() -> Iterator[Row]:
    """torch.md 1.3: of inputs, targets, weights; promotion with probabilities."""
    for dtype in (*FLOATS, *OTHERS):
        yield Row(f"input {dtype}", (x(3, 4).to(dtype), y(3)), functions=BOTH)
        yield Row(f"input {dtype} K", (x(2, 4, 3).to(dtype), y(2, 3)), functions=BOTH)
        yield Row(f"input {dtype} probabilities", (x(3, 4).to(dtype), p(3, 4)))
        yield Row(f"input {dtype} unbatched", (x(4).to(dtype), y()), functions=BOTH)
        for shape in ((3,), (), (3, 2), (3, 2, 2)):
            input = x(3, 4, *shape[1:]) if shape else x(4)
            yield Row(f"target {dtype} {shape}", (input, y(*shape).to(dtype)), functions=BOTH)
        yield Row(f"target {dtype} probabilities", (x(3, 4), p(3, 4).to(dtype)))
        for shape in ((3, 4), (2, 4, 3)):
            target = y(shape[0], *shape[2:])
            yield Row(f"weight {dtype} {shape}", (x(*shape), target, torch.ones(4).to(dtype)), functions=BOTH)
            if not dtype.is_complex:  # torch's loss is complex then
                yield Row(f"weight {dtype} {shape} probabilities", (x(*shape), p(*shape), torch.ones(4).to(dtype)))
    for a, b, c in itertools.product(FLOATS, FLOATS, (None, *FLOATS)):
        weight = None if c is None else x(4).abs().to(c)
        yield Row(f"promotion {a} {b} {c}", (x(3, 4).to(a), p(3, 4).to(b), weight))
    byte = torch.tensor([0, 255, 3], dtype=torch.uint8)
    yield Row("uint8 with ignore_index=255", (x(3, 4), byte), {"ignore_index": 255}, BOTH)
    yield Row("uint8 255 does not wrap", (x(3, 4), byte), {"ignore_index": -1}, BOTH)
    for shape, reduction in itertools.product(((1, 4), (4, 1)), ("mean", "sum", "none")):
        weight, more = x(4).abs().reshape(shape), {"reduction": reduction}
        yield Row(f"weight {shape}, K {reduction}", (x(2, 4, 3), y(2, 3), weight), more, BOTH)
        more["label_smoothing"] = 0.1
        yield Row(f"weight {shape}, K, smoothed {reduction}", (x(2, 4, 3), y(2, 3), weight), more)
    yield Row("uint8 156 is not -100", (x(3, 200), torch.tensor([156, 0, 3], dtype=torch.uint8)), functions=BOTH)


def weights() -> Iterator[Row]:
    """torch.md 1.3: shapes of the class weight."""
    for input in ((4,), (3, 4), (2, 4, 3), (2, 4, 3, 2), (2, 4, 1, 2, 2)):
        target = (input[0], *input[2:]) if len(input) > 1 else ()
        for weight in ((4,), (3,), (5,), (1, 4), (4, 1), (1,), (), (0,), (2, 2)):
            yield from reductions(f"weight {weight} {input}", x(*input), y(*target), x(*weight).abs())
            yield Row(f"weight {weight} {input} probabilities", (x(*input), p(*input), x(*weight).abs()))
    for labels in (torch.zeros(3, dtype=torch.int64), torch.tensor([0, -100, 0])):
        options = {"weight": torch.tensor([0.0, 1.0, 1.0, 1.0]), "label_smoothing": 0.1}
        yield from reductions(f"only weight 0, smoothed {labels}", x(3, 4), labels, functions=BOTH[:1], **options)
    needs = torch.ones(4, requires_grad=True)
    yield Row("weight requires grad", (x(3, 4), y(3), needs), functions=BOTH)
    yield Row("weight requires grad, probabilities", (x(3, 4), p(3, 4), needs))
    yield Row("negative weights", (x(3, 4), y(3), -torch.ones(4)), functions=BOTH)


def arguments() -> Iterator[Row]:
    """torch.md 1.1 and 1.4: types of arguments, reductions, smoothing, ignore_index."""
    for value in (True, 1.0, None, "1", torch.tensor(1), torch.tensor(1.0), torch.tensor([1, 2])):
        served = isinstance(value, torch.Tensor) and value.is_floating_point()
        yield Row(f"ignore_index {value!r}", (x(3, 4), y(3)), {"ignore_index": value}, BOTH, served)
    for value in ("zz", None, 1, "Mean", "", ("mean",)):
        yield Row(f"reduction {value!r}", (x(3, 4), y(3)), {"reduction": value}, BOTH)
    for value in (-0.1, float("nan"), float("inf"), 1, 1.0, 1.2, True, False, 0, None, "0.1", torch.tensor(0.5)):
        yield Row(f"smoothing {value!r}", (x(3, 4), y(3)), {"label_smoothing": value})
        yield Row(f"smoothing {value!r} probabilities", (x(3, 4), p(3, 4)), {"label_smoothing": value})
    for value in (-1, -100, 0, 3, 100):
        yield Row(f"probabilities, ignore_index {value}", (x(3, 4), p(3, 4)), {"ignore_index": value})
        yield Row(f"ignore_index {value}", (x(3, 4), y(3)), {"ignore_index": value}, BOTH)
    for value in ([[1.0, 2.0]], None, 3, x(3, 4).numpy()):
        yield Row(f"input {type(value)}", (value, y(3)), functions=BOTH)
        yield Row(f"target {type(value)}", (x(3, 4), value), functions=BOTH)
        yield Row(f"weight {type(value)}", (x(3, 4), y(3), value if value is not None else "w"), functions=BOTH)
    yield Row("sparse", (x(3, 4).to_sparse(), y(3)), functions=BOTH)
    yield Row("negative probabilities", (x(3, 4), x(3, 4)))


def ranges() -> Iterator[Row]:
    """torch.md 1.5: labels out of range, in every layout; ignored ones of any value are skipped."""
    for bad in (4, -1, -100, 2**40):
        for shape in ((), (3,), (2, 3), (2, 3, 2), (2, 3, 2, 2)):
            input = x(shape[0], 4, *shape[1:]) if shape else x(4)
            target = y(*shape)
            target.view(-1)[-1] = bad
            yield from reductions(f"target {bad} {shape}", input, target, ignore_index=-7)
            yield from reductions(f"target {bad} {shape} ignored", input, target, ignore_index=bad)
            yield from reductions(f"{bad} {shape} smoothed", input, target, functions=BOTH[:1], label_smoothing=0.1)
    yield Row("two bad ones: the first is named", (x(4, 4), torch.tensor([0, 9, 9, 3])), functions=BOTH)
    yield Row("one-based", (x(4, 4), torch.tensor([1, 2, 3, 4])), functions=BOTH)


def log_softmaxes() -> Iterator[Row]:
    """torch.md 1.3: dims and dtypes of log_softmax."""
    names = ("log_softmax",)
    for shape in ((), (4,), (3, 4), (2, 3, 4), (0, 4), (3, 0), (2, 0, 3), (2, 3, 2, 2)):
        for dim in (*range(-5, 5), True, 1.0, (1,), "1"):
            yield Row(f"{shape} dim={dim!r}", (x(*shape),), {"dim": dim}, names)
    for dtype in (*FLOATS, *OTHERS):
        yield Row(f"input {dtype}", (x(3, 4).to(dtype),), {"dim": 1}, names)
        yield Row(f"to {dtype}", (x(3, 4),), {"dim": 1, "dtype": dtype}, names)
        for result in FLOATS:
            yield Row(f"{dtype} to {result}", (x(3, 4).to(dtype),), {"dim": 1, "dtype": result}, names)
    yield Row("list", ([1.0],), {"dim": 0}, names)
    yield Row("dtype of another type", (x(3, 4),), {"dim": 1, "dtype": "float32"}, names)


ALL = [
    row
    for group in (shapes, empties, dtypes, weights, arguments, ranges, log_softmaxes)
    for row in ((group.__name__, r) for r in group())
]
GROUPS = sorted({group for group, _ in ALL})


def fresh(value: Any) -> Any:
    """A leaf of its own for every call; floating tensors require a gradient where they did."""
    return value.detach().clone().requires_grad_(value.requires_grad) if isinstance(value, torch.Tensor) else value


def call(home: Any, function: str, row: Row, **more: Any) -> Any:
    """(result, gradient of the input), or the exception."""

    def run() -> tuple[torch.Tensor, torch.Tensor | None]:
        args = [fresh(value) for value in row.args]
        if isinstance(args[0], torch.Tensor) and args[0].is_floating_point() and args[0].layout is torch.strided:
            args[0].requires_grad_()
        result = getattr(home, function)(*args, **row.kwargs, **more)
        if not result.requires_grad:
            return result, None
        return result.detach(), torch.autograd.grad(result.sum(), args[0])[0]

    return outcome(run)


OLD_TORCH_TAKES = ("nll_loss", "(4,) (4,)")  # torch 2.8 takes the first of four labels, 2.13 refuses


class Seeing(TorchDispatchMode):
    """A mode that changes nothing: no kernel may run in it, so the composite serves."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def check_row(function: str, row: Row, backend: str | None) -> None:
    mode = Seeing() if backend == "composite" else nullcontext()
    with mode:
        theirs = call(F, function, row)
    with serving() as calls, mode:
        ours = call(crossent, function, row, backend=backend if backend in EXPLICIT else None)
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), f"torch raises {theirs!r}, ours returns {ours}"
        assert (type(ours), first_line(ours)) == (type(theirs), str(theirs))
        assert not calls
        return
    served_by_torch = row.torch_serves or (function, row.name.rpartition(" ")[0]) == OLD_TORCH_TAKES
    if served_by_torch and backend in EXPLICIT:  # an explicit backend never hands over: it says so
        assert isinstance(ours, RuntimeError) and "XEN042" in str(ours), ours
        return
    assert not isinstance(ours, Exception), ours
    by = "torch" if served_by_torch else expected_server(None if backend == "small" else backend)
    served = [call.by for call in calls]
    assert served == [by] or (backend == "small" and served == ["torch"])
    low = [t.dtype for t in row.args if isinstance(t, torch.Tensor) and t.dtype in FLOATS[2:]]
    loose = {"rtol": 0.04, "atol": 0.04} if low or row.kwargs.get("dtype") in FLOATS[2:] else {}
    for mine, torchs in zip(ours, theirs, strict=True):
        if mine is not None and mine.dtype.itemsize == 1 and mine.is_floating_point():  # the gradient of a float8 input
            assert torchs is not None and mine.dtype == torchs.dtype
            mine, torchs = mine.float(), torchs.float()
        torch.testing.assert_close(mine, torchs, equal_nan=True, **loose)


@pytest.mark.parametrize("backend", [*BACKENDS, "composite", "small"])
@pytest.mark.parametrize("group", GROUPS)
def test_rows(group: str, backend: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "small":  # what is handed to torch for its size, is as all others are
        monkeypatch.setattr("crossent.small.LIMIT_ELEMENTS", 2000)
    failures = []
    for name, row in ALL:
        for function in row.functions if name == group else ():
            try:
                check_row(function, row, backend)
            except AssertionError as failure:
                failures.append(f"{function} {row.name}: {str(failure)[:400]}")
    assert not failures, f"{len(failures)}\n" + "\n".join(failures)


# ---- several errors at once: torch's order of checks -----------------------------------------------------

INDEX_FAULTS: dict[str, tuple[str, Any]] = {
    "input dtype": ("input", lambda: x(3, 4).to(torch.int32)),
    "target dtype": ("target", lambda: y(3).to(torch.int32)),
    "target float": ("target", lambda: x(3)),
    "target size": ("target", lambda: y(2)),
    "target extra axis": ("target", lambda: y(3, 1)),
    "target range": ("target", lambda: torch.tensor([0, 9, 1])),
    "target one-hot": ("target", lambda: F.one_hot(y(3), 4)),
    "target list": ("target", lambda: [0, 1, 2]),
    "weight size": ("weight", lambda: torch.ones(3)),
    "weight dtype": ("weight", lambda: torch.ones(4, dtype=torch.float64)),
    "weight gradient": ("weight", lambda: torch.ones(4, requires_grad=True)),
    "smoothing": ("label_smoothing", lambda: 1.5),
    "reduction": ("reduction", lambda: "zz"),
    "ignore_index": ("ignore_index", lambda: 1.5),
}
PROBABILITY_FAULTS: dict[str, tuple[str, Any]] = {
    "input dtype": ("input", lambda: x(3, 4).to(torch.int32)),
    "target dtype": ("target", lambda: y(3, 4)),
    "target complex": ("target", lambda: p(3, 4).to(torch.complex64)),
    "weight size": ("weight", lambda: torch.ones(3)),
    "weight dtype": ("weight", lambda: torch.ones(4, dtype=torch.int64)),
    "smoothing": ("label_smoothing", lambda: 1.5),
    "reduction": ("reduction", lambda: "zz"),
    "ignore_index": ("ignore_index", lambda: 1),
    "ignore_index type": ("ignore_index", lambda: None),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["index", "probability", "nll"])
def test_order_of_checks(kind: str, backend: str | None) -> None:
    faults = PROBABILITY_FAULTS if kind == "probability" else INDEX_FAULTS
    function = "nll_loss" if kind == "nll" else "cross_entropy"
    good: dict[str, Any] = {"input": x(3, 4), "target": p(3, 4) if kind == "probability" else y(3)}
    count = 0
    for size in (1, 2, 3):
        for chosen in itertools.combinations(faults, size):
            names = [faults[name][0] for name in chosen]
            if len(set(names)) < size or (kind == "nll" and "label_smoothing" in names):
                continue
            arguments = {**good, **{faults[name][0]: faults[name][1]() for name in chosen}}
            theirs, ours = (
                outcome(lambda home=home, more=more, given=arguments: getattr(home, function)(**given, **more))
                for home, more in ((F, {}), (crossent, {"backend": backend}))
            )
            assert isinstance(theirs, Exception) == isinstance(ours, Exception), (chosen, ours, theirs)
            if isinstance(theirs, Exception):
                count += 1
                assert (type(ours), first_line(ours)) == (type(theirs), str(theirs)), chosen
    assert count > 80
