"""The contract of a drop-in: signatures, warnings, modules, pickles: what a caller of torch's losses relies on."""

from __future__ import annotations

import copy
import importlib
import inspect
import io
import os
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import crossent
from serving import expected_server, outcome, served_by

pytestmark = pytest.mark.usefixtures("no_small_calls")

FUNCTIONS = ["cross_entropy", "nll_loss", "log_softmax"]
MODULES = ["CrossEntropyLoss", "NLLLoss", "LogSoftmax"]
LOSSES = ["CrossEntropyLoss", "NLLLoss"]


def logits() -> torch.Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(1))


def labels() -> torch.Tensor:
    return torch.tensor([0, 4, 2, -100])


# ---- signatures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *((getattr(crossent, name), getattr(F, name)) for name in FUNCTIONS),
        *((getattr(crossent, name).__init__, getattr(torch.nn, name).__init__) for name in MODULES),
    ],
    ids=[*FUNCTIONS, *MODULES],
)
def test_signature_begins_with_torchs(ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    """torch's parameters by name, order, kind and default; then ours, keyword-only and with defaults."""
    mine, torchs = (list(inspect.signature(function).parameters.values()) for function in (ours, theirs))
    shared = [(p.name, p.kind, p.default) for p in mine[: len(torchs)]]
    assert shared == [(p.name, p.kind, p.default) for p in torchs]
    for parameter in mine[len(torchs) :]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is not inspect.Parameter.empty


@pytest.mark.parametrize("name", MODULES)
def test_forward_begins_with_torchs(name: str) -> None:
    mine, torchs = (
        list(inspect.signature(getattr(home, name).forward).parameters.values()) for home in (crossent, torch.nn)
    )
    assert [p.name for p in mine[: len(torchs)]] == [p.name for p in torchs]
    assert all(p.default is None for p in mine[len(torchs) :])


def test_public_names() -> None:
    assert [name for name in crossent.__all__ if not hasattr(crossent, name)] == []
    assert set(FUNCTIONS) | set(MODULES) | {"CrossEntropyStats", "cross_entropy_with_stats"} <= set(crossent.__all__)
    assert set(crossent.__all__) <= set(dir(crossent))
    with pytest.raises(AttributeError, match="module 'crossent' has no attribute 'cros_entropy'"):
        _ = crossent.cros_entropy  # type: ignore[attr-defined]
    for name in FUNCTIONS:
        assert getattr(crossent, name) is getattr(importlib.import_module("crossent.functional"), name)


# ---- arguments of torch's -------------------------------------------------------------------------------


def test_all_arguments_by_position() -> None:
    weight = torch.rand(5)
    x, y = logits(), torch.tensor([0, 4, 2, 1])
    ours = served_by(expected_server(None), lambda: crossent.cross_entropy(x, y, weight, None, 1, None, "sum", 0.1))
    torch.testing.assert_close(ours, F.cross_entropy(x, y, weight, None, 1, None, "sum", 0.1))
    ours = served_by(expected_server(None), lambda: crossent.nll_loss(x, y, weight, None, 1, None, "sum"))
    torch.testing.assert_close(ours, F.nll_loss(x, y, weight, None, 1, None, "sum"))
    ours = served_by(expected_server(None), lambda: crossent.log_softmax(x, 1, 3, torch.float64))
    torch.testing.assert_close(ours, F.log_softmax(x, 1, 3, torch.float64))


@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "CrossEntropyLoss", "NLLLoss"])
def test_legacy_arguments(name: str, size_average: bool | None, reduce: bool | None) -> None:
    """Same reduction and same warning as torch, from functions and constructors."""

    def call(home: Any) -> tuple[torch.Tensor, list[tuple[type, str]]]:
        function = getattr(home, name)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if name in LOSSES:
                answer = function(size_average=size_average, reduce=reduce)(logits(), labels())
            else:
                answer = function(logits(), labels(), size_average=size_average, reduce=reduce)
        return answer, [(warning.category, str(warning.message)) for warning in caught]

    ours, our_warnings = served_by(expected_server(None), lambda: call(crossent))
    theirs, their_warnings = call(torch.nn if name in LOSSES else F)
    torch.testing.assert_close(ours, theirs)
    assert our_warnings == their_warnings
    assert len(our_warnings) == (size_average is not None or reduce is not None)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_elementwise_mean(name: str) -> None:
    with pytest.warns(UserWarning) as theirs:
        expected = getattr(F, name)(logits(), labels(), reduction="elementwise_mean")
    with pytest.warns(UserWarning) as ours:
        answer = getattr(crossent, name)(logits(), labels(), reduction="elementwise_mean")
    torch.testing.assert_close(answer, expected)
    assert [str(w.message) for w in ours] == [str(w.message) for w in theirs]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 3, 4, 2)], ids=str)
@pytest.mark.parametrize("form", ["function", "module"])
def test_log_softmax_without_dim_warns_at_the_caller(shape: tuple[int, ...], form: str) -> None:
    """torch's implicit dimension, torch's text, and the file and line of the call."""
    x = torch.randn(shape)

    def call(home: Any) -> tuple[torch.Tensor, warnings.WarningMessage]:
        with pytest.warns(UserWarning) as caught:
            answer = home.LogSoftmax()(x) if form == "module" else home.log_softmax(x)
        assert len(caught) == 1
        return answer, caught[0]

    ours, our_warning = call(crossent)
    theirs, their_warning = call(torch.nn if form == "module" else F)
    torch.testing.assert_close(ours, theirs)
    assert str(our_warning.message) == str(their_warning.message)
    assert (our_warning.filename, our_warning.lineno) == (their_warning.filename, their_warning.lineno)
    assert form == "module" or os.path.basename(our_warning.filename) == os.path.basename(__file__)


# ---- modules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_is_torchs_module(name: str) -> None:
    module = getattr(crossent, name)()
    assert isinstance(module, getattr(torch.nn, name))
    assert type(module).__name__ == name
    assert set(getattr(torch.nn, name).__constants__) <= set(module.__constants__)


@pytest.mark.parametrize("name", LOSSES)
def test_weight_is_a_buffer(name: str) -> None:
    with_weight, without = getattr(crossent, name)(torch.ones(3)), getattr(crossent, name)()
    torchs = getattr(torch.nn, name)(torch.ones(3))
    assert list(with_weight.state_dict()) == list(torchs.state_dict()) == ["weight"]
    assert list(without.state_dict()) == [] and without.weight is None
    with_weight.load_state_dict(torchs.state_dict())
    torchs.load_state_dict(with_weight.state_dict())
    assert with_weight.to(torch.float64).weight.dtype == torch.float64
    assert with_weight.to("meta").weight.device.type == "meta"
    with pytest.raises(TypeError) as ours:
        getattr(crossent, name)([1.0, 2.0])
    with pytest.raises(TypeError) as theirs:
        getattr(torch.nn, name)([1.0, 2.0])
    assert str(ours.value) == str(theirs.value)


def test_repr_is_torchs_until_an_option_is_set() -> None:
    assert repr(crossent.CrossEntropyLoss(torch.ones(3), label_smoothing=0.1)) == "CrossEntropyLoss()"
    assert repr(crossent.NLLLoss(ignore_index=3)) == "NLLLoss()"
    assert repr(crossent.LogSoftmax(1)) == repr(torch.nn.LogSoftmax(1)) == "LogSoftmax(dim=1)"
    assert repr(crossent.CrossEntropyLoss(class_dim=-1, z_loss=1e-4)) == "CrossEntropyLoss(z_loss=0.0001, class_dim=-1)"
    assert repr(crossent.LogSoftmax(1, softcap=30.0)) == "LogSoftmax(dim=1, softcap=30.0)"


OPTIONS: dict[str, dict[str, Any]] = {
    "CrossEntropyLoss": {
        "ignore_index": 2, "reduction": "mean", "label_smoothing": 0.1, "logit_scale": 2.0, "denominator": 3.0,
        "softcap": 5.0, "z_loss": 0.1, "out_dtype": torch.float64, "if_all_ignored": "zero", "class_dim": -1,
        "shift": 1, "backend": "reference",
    },
    "NLLLoss": {
        "ignore_index": 2, "reduction": "mean", "denominator": 3.0, "out_dtype": torch.float64,
        "if_all_ignored": "zero", "class_dim": -1, "shift": 1, "backend": "reference",
    },
    "LogSoftmax": {"dim": -1, "logit_scale": 2.0, "softcap": 5.0, "backend": "reference"},
}  # fmt: skip
TWIN = {"CrossEntropyLoss": "cross_entropy", "NLLLoss": "nll_loss", "LogSoftmax": "log_softmax"}


def call_arguments(name: str) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 6, 5, generator=generator)
    return (x,) if name == "LogSoftmax" else (x, torch.randint(5, (2, 6), generator=generator))


@pytest.mark.parametrize("name", MODULES)
def test_module_is_the_function(name: str) -> None:
    """Every option of the constructor reaches the function, one at a time and all together."""
    options = OPTIONS[name]
    accepted = set(inspect.signature(getattr(crossent, name).__init__).parameters)
    accepted.discard("inplace")  # changes who owns the memory, not the result: tests of its own
    assert accepted - set(options) == {"self"} | ({"weight", "size_average", "reduce"} if name in LOSSES else set())
    function, arguments = getattr(crossent, TWIN[name]), call_arguments(name)
    base = {"dim": -1} if name == "LogSoftmax" else {"class_dim": -1}
    plain = function(*arguments, **base)
    for given in (options, *({**base, option: value} for option, value in options.items())):
        module = getattr(crossent, name)(**given)
        expected = function(*arguments, **given)
        assert torch.equal(module(*arguments), expected)
        if len(given) == 2 and not {"backend", "if_all_ignored", "reduction"} & set(given):
            assert expected.dtype != plain.dtype or not torch.allclose(expected, plain), f"{given} has no effect"
        for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(twin(*arguments), expected)
            assert type(twin) is type(module) and repr(twin) == repr(module)


@pytest.mark.parametrize("name", LOSSES)
def test_per_call_tensors_take_precedence(name: str) -> None:
    x, y = call_arguments(name)
    sample_weight = torch.rand(y.shape)
    options = {"denominator": 3.0, "class_dim": -1}
    per_call = {"sample_weight": sample_weight, "denominator": torch.tensor(7.0)}
    if name == "CrossEntropyLoss":
        options["logit_scale"], per_call["logit_scale"] = 2.0, torch.rand(y.shape)
    module = getattr(crossent, name)(**options)
    expected = getattr(crossent, TWIN[name])(x, y, **{**options, **per_call})
    assert torch.equal(module(x, y, **per_call), expected)
    order = ["sample_weight", "logit_scale", "denominator"] if len(per_call) == 3 else ["sample_weight", "denominator"]
    assert torch.equal(module(x, y, *(per_call[key] for key in order)), expected)


@pytest.mark.parametrize("name", MODULES)
def test_state_pickled_before_our_options_existed(name: str) -> None:
    """A module whose state has torch's attributes only, as one that was pickled by an older version."""
    module = getattr(crossent, name)(**({"dim": -1} if name == "LogSoftmax" else {"reduction": "sum"}))
    fresh = type(module).__new__(type(module))
    torchs = set(vars(getattr(torch.nn, name)()))
    fresh.__setstate__({key: value for key, value in vars(module).items() if key in torchs})
    x, *rest = call_arguments(name)
    x = x if name == "LogSoftmax" else x.movedim(-1, 1)
    assert torch.equal(fresh(x, *rest), module(x, *rest)) and repr(fresh) == repr(module)


def test_whole_module_through_torch_save() -> None:
    buffer = io.BytesIO()
    torch.save(crossent.CrossEntropyLoss(torch.arange(1.0, 6.0), softcap=3.0), buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    expected = crossent.cross_entropy(logits(), labels(), torch.arange(1.0, 6.0), softcap=3.0)
    assert torch.equal(loaded(logits(), labels()), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_attributes_are_read_at_forward(name: str) -> None:
    """As torch does: a bad reduction passes the constructor and is refused by forward; a later change counts."""
    ours, theirs = (outcome(lambda home=home: getattr(home, name)(reduction="zz")) for home in (crossent, torch.nn))
    assert isinstance(ours, torch.nn.Module) and isinstance(theirs, torch.nn.Module)
    refusals = [outcome(lambda module=module: module(logits(), labels())) for module in (ours, theirs)]
    assert type(refusals[0]) is type(refusals[1]) is ValueError
    assert str(refusals[0]).splitlines()[0] == str(refusals[1]).splitlines()[0]
    ours.reduction = theirs.reduction = "none"
    ours.ignore_index = theirs.ignore_index = 4
    y = torch.tensor([0, 4, 2, 1])
    torch.testing.assert_close(served_by(expected_server(None), lambda: ours(logits(), y)), theirs(logits(), y))


def test_modules_do_not_touch_torchs_functions() -> None:
    """crossent works without patching: torch's functions stay torch's."""
    assert F.cross_entropy.__module__ == "torch.nn.functional"
    assert torch.nn.CrossEntropyLoss.forward.__module__ == "torch.nn.modules.loss"


def test_result_carries_the_call() -> None:
    """`crossent_call` on the autograd node: function, options, layout, and where the caller's tensors are."""
    x = logits().requires_grad_()
    loss = crossent.cross_entropy(x, labels(), label_smoothing=0.1, backend="reference")
    call = loss.grad_fn.crossent_call
    assert (call.function, call.layout.class_dim, call.options.label_smoothing) == ("cross_entropy", 1, 0.1)
    saved = loss.grad_fn.saved_tensors
    assert saved[0].data_ptr() == x.data_ptr() and saved[0].shape == x.shape
    assert torch.equal(saved[1], labels())
    before = [node for node, _ in loss.grad_fn.next_functions if node is not None]
    assert len(before) == 1 and before[0].variable is x  # the caller's own tensor: no view of ours in between
    assert crossent.log_softmax(x, 1, backend="reference").grad_fn.crossent_call.function == "log_softmax"
