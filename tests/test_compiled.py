"""Graphs: torch.compile, torch.export, jit.trace, jit.script, make_fx.

A saved graph holds aten operators only: each is loaded in a fresh process in which crossent cannot be
imported. A compiled one may hold crossent's operators, and compiles once for all batch sizes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.testing import CompileCounterWithBackend
from torch.fx.experimental.proxy_tensor import make_fx

import crossent
from serving import in_fresh_process, serving

pytestmark = [
    pytest.mark.usefixtures("no_small_calls"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

LABELS, W = torch.tensor([0, 3, -100, 1, 2]), torch.tensor([0.5, 1.0, 2.0, 1.5])
OURS = {"softcap": 3.0, "z_loss": 0.1, "logit_scale": 2.0}


def x(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


Call = Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
TORCHS: dict[str, Call] = {  # home is torch.nn.functional or crossent
    "mean": lambda home, a, y: home.cross_entropy(a, y),
    "none": lambda home, a, y: home.cross_entropy(a, y, reduction="none"),
    "weighted": lambda home, a, y: home.cross_entropy(
        a, y, a.new_tensor([0.5, 1.0, 2.0, 1.5]), label_smoothing=0.1, ignore_index=1
    ),
    "probabilities": lambda home, a, y: home.cross_entropy(a, a.detach().softmax(1)),
    "nll": lambda home, a, y: home.nll_loss(a, y, reduction="sum"),
    "log_softmax": lambda home, a, y: home.log_softmax(a, 1),
}


class Loss(torch.nn.Module):
    """A linear layer with a loss on top, as a model that is exported."""

    def __init__(self, call: Call, home: Any) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.head, self.call, self.home = torch.nn.Linear(6, 4), call, home

    def forward(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.call(self.home, self.head(hidden), labels)


def labels_of(name: str, count: int) -> torch.Tensor:
    labels = torch.arange(count) % 4
    if name != "weighted":
        labels[count // 2] = -100
    return labels


# ---- torch.compile -----------------------------------------------------------------------------------------


def compiled_gradients(call: Call, name: str, backend: str) -> tuple[list[Any], int]:
    """Losses and gradients at several batch sizes, and how many graphs were compiled."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend)
    function = torch.compile(lambda a, y: call(crossent, a, y), fullgraph=True, backend=counter)
    results = []
    for count in (5, 6, 7, 9, 16):
        input = x(count, 4, seed=count).requires_grad_()
        result = function(input, labels_of(name, count))
        results.append((result.detach(), torch.autograd.grad(result.sum(), input)[0]))
    return results, counter.frame_count


@pytest.mark.parametrize("name", TORCHS)
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compile_with_dynamic_shapes(backend: str, name: str) -> None:
    results, graphs = compiled_gradients(TORCHS[name], name, backend)
    assert graphs <= 2, "one for the first size, one for all others"
    for count, (result, gradient) in zip((5, 6, 7, 9, 16), results, strict=True):
        input = x(count, 4, seed=count).requires_grad_()
        expected = TORCHS[name](F, input, labels_of(name, count))
        torch.testing.assert_close(result, expected.detach())
        torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), input)[0])


OPTIONS: dict[str, Call] = {
    "softcap, z_loss, scale": lambda home, a, y: home.cross_entropy(a, y, **OURS),
    "sample_weight": lambda home, a, y: home.cross_entropy(a, y, sample_weight=a.detach()[:, 0].abs(), denominator=3.0),
    "zero if all ignored": lambda home, a, y: home.cross_entropy(a, y, if_all_ignored="zero", out_dtype=torch.float64),
    "class_dim, shift": lambda home, a, y: home.cross_entropy(a[None], y[None], class_dim=-1, shift=1),
    "stats": lambda home, a, y: sum(t.sum() for t in (*home.cross_entropy_with_stats(a, y),)[:5]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_compile_options_is_eager(name: str) -> None:
    results, graphs = compiled_gradients(OPTIONS[name], name, "aot_eager")
    assert graphs <= 2
    for count, (result, gradient) in zip((5, 6, 7, 9, 16), results, strict=True):
        input = x(count, 4, seed=count).requires_grad_()
        with serving() as calls:
            expected = OPTIONS[name](crossent, input, labels_of(name, count))
        assert calls[0].by in ("cpu", "reference")
        torch.testing.assert_close(result, expected.detach())
        torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), input)[0])


def test_options_that_are_arguments_of_what_is_compiled() -> None:
    """With ``dynamic=True`` numbers arrive as symbols; a place is made a constant."""

    def loss(a: torch.Tensor, y: torch.Tensor, dim: int, shift: int, number: float, index: int) -> torch.Tensor:
        return crossent.cross_entropy(
            a, y, class_dim=dim, shift=shift, softcap=number, ignore_index=index, denominator=number,
            logit_scale=number / 2, z_loss=number / 50, label_smoothing=number / 10,
        )  # fmt: skip

    torch._dynamo.reset()
    compiled = torch.compile(loss, dynamic=True, fullgraph=True, backend="aot_eager")
    logits, labels = x(3, 6, 4), torch.arange(18).reshape(3, 6) % 4
    for shift in (0, 1, 2):
        arguments = (logits, labels, -1, shift, 3.0 + shift, shift)
        torch.testing.assert_close(compiled(*arguments), loss(*arguments))


@pytest.mark.parametrize("module", [crossent.CrossEntropyLoss(label_smoothing=0.1, z_loss=0.1), crossent.NLLLoss()])
def test_compile_a_training_step(module: torch.nn.Module) -> None:
    torch._dynamo.reset()
    torch.manual_seed(2)
    model = torch.nn.Linear(6, 4)
    step = torch.compile(lambda a, y: module(model(a), y), fullgraph=True, backend="aot_eager")
    step(x(5, 6), LABELS).backward()
    gradient = model.weight.grad.clone()
    model.zero_grad()
    module(model(x(5, 6)), LABELS).backward()
    torch.testing.assert_close(gradient, model.weight.grad)


def test_compile_keeps_torchs_refusals() -> None:
    torch._dynamo.reset()
    function = torch.compile(lambda a, y: crossent.cross_entropy(a, y), backend="eager")
    with pytest.raises(Exception, match=r"batch_size|Expected input"):
        function(x(5, 4), torch.tensor([0, 1]))


# ---- graphs that are saved: aten only ----------------------------------------------------------------------

RUN_ELSEWHERE = """
import sys, torch
try:
    import crossent
except ImportError:
    pass
else:
    raise SystemExit("crossent can be imported here")
for path in sys.argv[1:]:
    saved = torch.load(path + ".inputs")
    model = torch.export.load(path).module() if path.endswith("pt2") else torch.jit.load(path)
    torch.testing.assert_close(model(*saved["inputs"]).detach(), saved["expected"])
    print(path)
"""


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests below leave their models; the last of them runs all in one process without crossent."""
    return tmp_path_factory.mktemp("models")


def keep(model: Any, path: Path, inputs: tuple[torch.Tensor, ...], expected: torch.Tensor) -> None:
    if path.suffix == ".pt2":
        torch.export.save(model, path)
    else:
        torch.jit.save(model, str(path))
    torch.save({"inputs": inputs, "expected": expected.detach()}, f"{path}.inputs")


def operators(graph_module: torch.fx.GraphModule) -> set[str]:
    """Namespaces of what a graph calls; arithmetic on sizes and the parts of a tuple are Python's own."""
    targets = {node.target for node in graph_module.graph.nodes if node.op == "call_function"}
    return {
        target.namespace if isinstance(target, torch._ops.OpOverload) else str(target)
        for target in targets
        if getattr(target, "__module__", "") not in ("_operator", "torch")
    }


SAVED = {**TORCHS, "softcap, z_loss, scale": OPTIONS["softcap, z_loss, scale"], "shift": OPTIONS["class_dim, shift"]}
SAVED_PARAMETERS = pytest.mark.parametrize("name", SAVED)


@SAVED_PARAMETERS
def test_export(name: str, saved_models: Path) -> None:
    inputs = x(5, 6), labels_of(name, 5)
    model = Loss(SAVED[name], crossent)
    batch = torch.export.Dim("batch", min=3, max=64)
    program = torch.export.export(
        model,
        inputs,
        dynamic_shapes=(
            {0: batch},
            {0: batch},
        ),
    )
    assert operators(program.graph_module) == {"aten"}
    keep(program, saved_models / f"{name}.pt2", inputs, model(*inputs))
    more = x(9, 6), labels_of(name, 9)
    torch.testing.assert_close(program.module()(*more), model(*more))


@SAVED_PARAMETERS
def test_trace(name: str, saved_models: Path) -> None:
    inputs = x(5, 6), labels_of(name, 5)
    model = Loss(SAVED[name], crossent)
    with serving() as calls:
        traced = torch.jit.trace(model, inputs)
    assert {call.by for call in calls} <= {"composite", "cpu", "reference"} and calls[0].by == "composite"
    keep(traced, saved_models / f"traced {name}.pt", inputs, model(*inputs))
    more = x(9, 6, seed=4), labels_of(name, 9)
    torch.testing.assert_close(traced(*more), model(*more))


@pytest.mark.parametrize("smoothed", [LABELS.clamp(min=0), x(5, 4, seed=1).double().softmax(1)], ids=["index", "probs"])
def test_trace_keeps_float64(smoothed: torch.Tensor) -> None:
    """A trace knows the number of classes as an int64 tensor, and Python's number / int64 is float32."""
    logits = x(5, 4).double()
    traced = torch.jit.trace(lambda a, y: crossent.cross_entropy(a, y, label_smoothing=0.1), (logits, smoothed))
    exact = F.cross_entropy(logits, smoothed, label_smoothing=0.1)
    torch.testing.assert_close(traced(logits, smoothed), exact, rtol=1e-14, atol=0)


def test_export_of_an_unbatched_label() -> None:
    inputs = x(6), torch.tensor(2)
    weight = W.clone()
    model = Loss(lambda home, a, y: home.cross_entropy(a, y, weight, reduction="sum"), crossent)
    for strict in (True, False):
        torch.testing.assert_close(torch.export.export(model, inputs, strict=strict).module()(*inputs), model(*inputs))


@SAVED_PARAMETERS
@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_make_fx(mode: str, name: str) -> None:
    """Forward and backward as one aten graph."""

    def gradient(home: Any, input: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        result = SAVED[name](home, input, labels)
        return result, torch.autograd.grad(result.sum(), input)[0]

    inputs = x(5, 4).requires_grad_(), labels_of(name, 5)
    graph = make_fx(lambda a, y: gradient(crossent, a, y), tracing_mode=mode)(*inputs)
    assert operators(graph) == {"aten"}
    home = F if name in TORCHS else crossent
    torch.testing.assert_close(graph(*inputs), gradient(home, *inputs))


# ---- TorchScript -------------------------------------------------------------------------------------------


def scripted_ce(
    a: torch.Tensor, y: torch.Tensor, s: torch.Tensor, w: torch.Tensor, reduction: str, capped: bool
) -> torch.Tensor:
    if capped:
        return crossent.cross_entropy(
            a, y, w, None, 1, None, reduction, 0.1, sample_weight=s, logit_scale=2.0, softcap=3.0, z_loss=0.1
        )
    return crossent.cross_entropy(a, y, w, ignore_index=1, reduction=reduction, label_smoothing=0.1)


def scripted_mean(a: torch.Tensor, y: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    first = crossent.cross_entropy(a, y, denominator=7.0, if_all_ignored="zero", out_dtype=torch.float64)
    second = crossent.cross_entropy(a.unsqueeze(0), y.unsqueeze(0), class_dim=-1, shift=1, logit_scale=s.unsqueeze(0))
    third = crossent.nll_loss(a, y, sample_weight=s, denominator=s.sum())
    fourth = crossent.log_softmax(a, 1, logit_scale=2.0, softcap=3.0).sum() + crossent.log_softmax(a, -1).sum()
    return first + second + third + fourth + crossent.nll_loss(a, y)


def scripted_weighted(a: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return crossent.cross_entropy(a, y, w, label_smoothing=0.5, logit_scale=0.5)


def through_a_file(script: Any) -> Any:
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def test_script_of_functions() -> None:
    s = x(5, seed=2).abs()
    labels = LABELS.clamp(min=0)
    script = through_a_file(torch.jit.script(scripted_ce))
    for reduction in ("mean", "sum", "none"):
        for capped in (False, True):
            args = (x(5, 4).requires_grad_(), labels, s, W, reduction, capped)
            expected, answer = scripted_ce(*args), script(*args)
            torch.testing.assert_close(answer, expected)
            gradients = [torch.autograd.grad(result.sum(), args[0])[0] for result in (answer, expected)]
            torch.testing.assert_close(*gradients)
    script = through_a_file(torch.jit.script(scripted_mean))
    torch.testing.assert_close(script(x(5, 4), LABELS, s), scripted_mean(x(5, 4), LABELS, s))


def test_script_of_a_mean_over_nothing() -> None:
    """NaN, with a gradient of 0: also once TorchScript differentiates by its own formulas (after some calls)."""
    script, nothing = torch.jit.script(scripted_weighted), torch.full((5,), -100)
    for _ in range(4):
        leaf = x(5, 4).requires_grad_()
        loss = script(leaf, nothing, W)
        assert loss.isnan() and not torch.autograd.grad(loss, leaf)[0].any()


MODULES: dict[str, Callable[[], torch.nn.Module]] = {
    "CrossEntropyLoss": lambda: crossent.CrossEntropyLoss(W, label_smoothing=0.1),
    "CrossEntropyLoss, options": lambda: crossent.CrossEntropyLoss(
        W, ignore_index=1, label_smoothing=0.1, logit_scale=2.0, denominator=3.0, softcap=3.0, z_loss=0.1,
        out_dtype=torch.float64, if_all_ignored="zero", class_dim=1,
    ),
    "NLLLoss": lambda: crossent.NLLLoss(W, reduction="none"),
    "NLLLoss options": lambda: crossent.NLLLoss(W, denominator=3.0, if_all_ignored="zero", class_dim=-1),
    "LogSoftmax": lambda: crossent.LogSoftmax(1),
    "LogSoftmax options": lambda: crossent.LogSoftmax(1, logit_scale=2.0, softcap=3.0),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_script_of_modules(name: str, saved_models: Path) -> None:
    module = MODULES[name]()
    script = torch.jit.script(module)
    args = (x(5, 4),) if name.startswith("Log") else (x(5, 4), LABELS.clamp(min=0))
    torch.testing.assert_close(through_a_file(script)(*args), module(*args))
    if not name.startswith("Log"):
        per_call = {"sample_weight": x(5, seed=2).abs()}
        torch.testing.assert_close(script(*args, **per_call), module(*args, **per_call))
    keep(script, saved_models / f"scripted {name}.pt", args, module(*args))


def test_script_keeps_torchs_refusals() -> None:
    script = torch.jit.script(crossent.CrossEntropyLoss())
    with pytest.raises(Exception, match=r"Target \d+ is out of bounds"):
        script(x(5, 4), LABELS.clamp(min=0) + 6)


def test_saved_models_run_without_crossent(saved_models: Path) -> None:
    paths = sorted(str(path) for path in saved_models.iterdir() if path.suffix != ".inputs")
    if not paths:
        pytest.skip("the tests that save models were not selected")
    printed = in_fresh_process(RUN_ELSEWHERE, crossent_importable=False, arguments=tuple(paths))
    assert printed.split("\n")[:-1] == paths
