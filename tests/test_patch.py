"""The patch: which names mean what, in which order it may be undone, and what it does not reach."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import crossent
from crossent import functional, handover, patching
from crossent.patching import patch, unpatch

SLOW = pytest.mark.slow
NAMES = list(patching.replacements())
TORCH = {name: getattr(F, name) for name in NAMES}


@pytest.fixture(autouse=True)
def _torch_again() -> Iterator[None]:
    yield
    for name, function in TORCH.items():
        setattr(F, name, function)
    patching._originals.clear()
    unpatch()


@pytest.fixture
def calls() -> Iterator[list[str]]:
    record: list[str] = []

    def listen(call: handover.Served) -> None:
        record.append(call.function)

    handover.add_listener(listen)
    yield record
    handover.remove_listener(listen)


def is_torch() -> bool:
    assert len({getattr(F, name) is TORCH[name] for name in NAMES}) == 1, "some are patched and some are not"
    return F.cross_entropy is TORCH["cross_entropy"]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(8, 5, requires_grad=True), torch.arange(8) % 5


def fresh(text: str) -> str:
    """What a fresh Python prints; everything else is an error."""
    root = str(Path(crossent.__file__).resolve().parent.parent)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.py")  # TorchScript reads sources, so -c will not do
        script.write_text(f"import sys\nsys.path.insert(0, {root!r})\n{text}\n")
        command = [sys.executable, "-W", "error", str(script)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


# ------------------------------------------------------------------------------------------------ on and off


def test_what_is_patched() -> None:
    assert {"cross_entropy", "nll_loss", "log_softmax"} <= set(NAMES)
    patch()
    for name in NAMES:
        assert getattr(F, name) is getattr(crossent, name)


def test_plain_calls_are_idempotent() -> None:
    patch()
    patch()
    assert not is_torch()
    unpatch()
    assert is_torch()
    unpatch()
    assert is_torch()


def test_blocks_nest() -> None:
    with patch():
        with patch():
            assert not is_torch()
        assert not is_torch()
    assert is_torch()


def test_a_block_inside_a_plain_call_ends_nothing() -> None:
    patch()
    with patch():
        pass
    assert not is_torch()
    unpatch()
    assert is_torch()


def test_a_block_ends_with_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), patch():
        _ = 1 / 0
    assert is_torch()


def test_unpatch_inside_a_block_is_at_once() -> None:
    with patch():
        unpatch()
        assert is_torch()
    assert is_torch()


def test_one_patch_may_be_entered_again() -> None:
    once = patch()
    with once, once:
        pass
    assert is_torch()
    with once:
        assert not is_torch()
    assert is_torch()


def test_repr_says_whether_it_is_in_force() -> None:
    once = patch()
    assert "torch.nn.functional.[cross_entropy, " in repr(once)
    unpatch()
    assert repr(once) == "<crossent.patch: not in force>"


# -------------------------------------------------------------------------------------------- who reaches it


MODULES: list[tuple[torch.nn.Module, list[str]]] = [
    (torch.nn.CrossEntropyLoss(), ["cross_entropy"]),
    (torch.nn.NLLLoss(), ["nll_loss"]),
    (torch.nn.LogSoftmax(1), ["log_softmax"]),
]


@pytest.mark.parametrize(("module", "expected"), MODULES, ids=lambda value: type(value).__name__)
def test_modules_of_torch_follow(module: torch.nn.Module, expected: list[str], calls: list[str]) -> None:
    """Modules made before the patch, too: they look the function up at every call."""
    x, y = batch()
    arguments = (x,) if isinstance(module, torch.nn.LogSoftmax) else (x, y)
    before = module(*arguments)
    assert calls == []
    with patch():
        during = module(*arguments)
    assert calls == expected
    torch.testing.assert_close(during, before)


def test_methods_and_torch_log_softmax_are_not_reached(calls: list[str]) -> None:
    x, _ = batch()
    with patch():
        x.log_softmax(1)
        torch.log_softmax(x, 1)
    assert calls == []


@pytest.mark.skipif("linear_cross_entropy" not in NAMES, reason="torch has it from 2.13 on")
@pytest.mark.filterwarnings("ignore:crossent. the cpu engine is not available")
def test_linear_loss_of_torch_follows(calls: list[str]) -> None:
    """Also where crossent's function hands the call to torch's, which must not lead back to crossent's."""
    layer = torch.nn.LinearCrossEntropyLoss(8, 5)
    x, y = torch.randn(6, 8, requires_grad=True), torch.arange(6) % 5
    before = layer(x, y)
    with patch():
        torch.testing.assert_close(layer(x, y), before)
        with pytest.raises((RuntimeError, ValueError)):
            layer(x, y[:3])
    assert calls == ["linear_cross_entropy"]


@pytest.mark.filterwarnings("ignore:crossent. the cpu engine is not available")
def test_adaptive_softmax_of_torch_follows(calls: list[str]) -> None:
    layer = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 6, cutoffs=[2, 4], div_value=2.0)
    x, y = torch.randn(5, 8), torch.arange(5)
    before = layer(x, y).loss
    with patch():
        torch.testing.assert_close(layer(x, y).loss, before)
    assert set(calls) == {"log_softmax"}


def test_log_softmax_without_dim_warns_where_torch_does() -> None:
    with patch(), pytest.warns(UserWarning, match="Implicit dimension choice for log_softmax") as record:
        F.log_softmax(torch.randn(2, 3))
    assert record[0].filename == __file__


# ------------------------------------------------------------------------------------------------ bound before


def test_names_bound_before_are_reported_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = types.ModuleType("user_model")
    model.loss = F.cross_entropy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "user_model", model)
    with pytest.warns(RuntimeWarning, match=r"user_model\.loss") as record:
        made = patch()
    assert made.bound_before == (patching.BoundName("user_model", "loss", "cross_entropy"),)
    assert record[0].filename == __file__
    assert "Call crossent.patch() before those modules are imported" in str(record[0].message)
    assert model.loss is TORCH["cross_entropy"]  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert patch().bound_before == ()  # nothing changes, so nothing is said again


def test_a_warning_made_an_error_leaves_torch_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    model = types.ModuleType("user_model")
    model.loss = F.nll_loss  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "user_model", model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            patch()
    assert is_torch()
    unpatch()
    assert is_torch()


def test_many_bound_names_are_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(7):
        model = types.ModuleType(f"user_model_{n}")
        model.loss = F.nll_loss  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, model.__name__, model)
    with pytest.warns(RuntimeWarning, match="and 2 more"):
        patch()


def test_odd_things_in_sys_modules_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slotted:
        __slots__ = ()

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

    monkeypatch.setitem(sys.modules, "odd", Slotted())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "none", None)  # type: ignore[arg-type]
    patch()
    assert not is_torch()


def test_torch_itself_binds_no_name_that_is_left_out() -> None:
    """The scan leaves torch out; so no module of torch may hold the functions under a name of its own."""
    holders = {
        f"{module}.{name}"
        for module, value in list(sys.modules.items())
        if module.startswith("torch") and isinstance(value, types.ModuleType)
        for name, item in list(vars(value).items())
        if any(item is function for function in TORCH.values())
    }
    assert holders == {f"torch.nn.functional.{name}" for name in NAMES}


# ---------------------------------------------------------------------------------------------- other patches


def test_another_patch_on_top_is_left_alone() -> None:
    patch()
    ours = F.cross_entropy

    def other_loss(*arguments: Any) -> Any:
        return ours(*arguments)

    F.cross_entropy = other_loss  # type: ignore[assignment]
    with pytest.warns(RuntimeWarning, match=r"test_patch\.test_another.*other_loss: it was replaced after"):
        unpatch()
    assert F.cross_entropy is other_loss
    assert F.nll_loss is TORCH["nll_loss"]
    x, y = batch()
    torch.testing.assert_close(F.cross_entropy(x, y), TORCH["cross_entropy"](x, y))  # and no endless recursion
    F.cross_entropy = ours  # the other library undoes its own
    unpatch()
    assert F.cross_entropy is TORCH["cross_entropy"]


def test_another_patch_below_comes_back() -> None:
    def other_loss(*arguments: Any) -> Any:
        return TORCH["cross_entropy"](*arguments)

    F.cross_entropy = other_loss  # type: ignore[assignment]
    with pytest.warns(RuntimeWarning, match="was replaced before, by .*other_loss"):
        patch()
    assert F.cross_entropy is functional.cross_entropy
    unpatch()
    assert F.cross_entropy is other_loss


def test_many_rounds_bring_back_the_very_originals() -> None:
    for _ in range(3):
        with patch():
            patch()
        unpatch()
    assert is_torch()


# --------------------------------------------------------------------------------- compilers, in fresh processes

COMPILE = """
import torch, torch.nn.functional as F
from crossent import handover, patching
seen = []
handover.add_listener(lambda call: seen.append(call.function))
loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
def step(x, y):
    return loss(x * 2, y) + F.nll_loss(F.log_softmax(x, dim=1), y)
def value(function, n):
    torch.manual_seed(n)
    x = torch.randn(n, 5, requires_grad=True)
    out = function(x, torch.arange(n) % 5)
    return out.detach(), torch.autograd.grad(out, x)[0]
expected = [value(step, n) for n in (6, 7, 9)]
def check(backend="aot_eager"):
    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, dynamic=True, backend=backend)
    for n, wanted in zip((6, 7, 9), expected):
        torch.testing.assert_close(value(compiled, n), wanted)
"""

ORDERS = {
    "patch first": "patching.patch(); check(); patching.unpatch(); seen.clear(); check()",
    "compiler first": "check(); assert not seen; patching.patch(); check(); patching.unpatch(); seen.clear(); check()",
    "eager backend": "patching.patch(); check('eager'); patching.unpatch(); seen.clear(); check('eager')",
}


@pytest.mark.parametrize(
    "order", [name if name == "patch first" else pytest.param(name, marks=SLOW) for name in ORDERS]
)
def test_compiles_into_one_graph(order: str) -> None:
    """Dynamo keeps a table of torch's functions, made at its import, from whatever the names mean then."""
    assert fresh(f"{COMPILE}\n{ORDERS[order]}\nprint(seen)") == "[]"


SCRIPT = """
import warnings
warnings.filterwarnings("ignore", message="`torch.jit.* is deprecated")
import torch, torch.nn.functional as F
from crossent import patching
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
        self.log_softmax = torch.nn.LogSoftmax(1)
    def forward(self, x, y):
        return self.loss(x, y) + F.nll_loss(self.log_softmax(x), y) + F.cross_entropy(x, y)
x, y = torch.randn(8, 5, requires_grad=True), torch.arange(8) % 5
expected = Model()(x, y)
def check():
    torch.testing.assert_close(torch.jit.script(Model())(x, y), expected)
"""


@pytest.mark.parametrize(
    "order", ["patching.patch(); check()", "check(); patching.patch(); check(); patching.unpatch(); check()"]
)
def test_stays_scriptable(order: str) -> None:
    fresh(f"{SCRIPT}\n{order}")


# ----------------------------------------------------------------------------------------------- fresh processes


def test_importing_the_patch_loads_nothing_of_weight() -> None:
    text = (
        "import crossent.patching; print(sorted({'numba', 'triton', 'typer', 'rich', 'matplotlib'} & set(sys.modules)))"
    )
    assert fresh(text) == "[]"


def test_forked_and_spawned_processes() -> None:
    """As documented: fork inherits the patch, spawn does not."""
    text = """
import multiprocessing, torch.nn.functional as F
from crossent import patching
if __name__ == "__main__":
    patching.patch()
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(pool.apply(eval, ("__import__('torch').nn.functional.cross_entropy.__module__",)))
"""
    if sys.platform == "win32":
        pytest.skip("no fork")
    assert fresh(text).split() == ["crossent.functional", "torch.nn.functional"]


@pytest.mark.parametrize("first", ["crossent.patch", "crossent.patching", "crossent.unpatch"])
def test_public_names_are_the_functions(first: str) -> None:
    names = "crossent.patch.__name__, crossent.unpatch.__name__"
    assert fresh(f"import crossent\nimport crossent.patching\n{first}\nprint({names})") == "patch unpatch"
