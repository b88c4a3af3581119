"""LinearCrossEntropyLoss as torch's module; the options object; what is refused, and in which words."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch

import crossent
from crossent import LinearPlan, internals
from serving import first_line, outcome

HEAD = {"in_features": 4, "num_classes": 6}
torchs = pytest.mark.skipif(internals.torch_linear is None, reason="torch has no linear_cross_entropy before 2.13")


def call(**changes: Any) -> torch.Tensor:
    given: dict[str, Any] = {
        "input": torch.ones(5, 4), "linear_weight": torch.ones(6, 4), "target": torch.zeros(5, dtype=torch.long),
    }  # fmt: skip
    return crossent.linear_cross_entropy(**(given | changes))


@torchs
def test_signatures_begin_with_torchs() -> None:
    assert internals.torch_linear is not None
    for mine, other in (
        (crossent.linear_cross_entropy, internals.torch_linear),
        (crossent.LinearCrossEntropyLoss, torch.nn.LinearCrossEntropyLoss),
    ):
        ours, theirs = (inspect.signature(function).parameters for function in (mine, other))
        assert list(ours)[: len(theirs)] == list(theirs)
        for name, parameter in theirs.items():
            assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind), name


@torchs
def test_the_module_is_torchs() -> None:
    theirs = torch.nn.LinearCrossEntropyLoss(**HEAD, bias=True, weight=torch.rand(6), label_smoothing=0.1)
    ours = crossent.LinearCrossEntropyLoss(**HEAD, bias=True, weight=torch.rand(6), label_smoothing=0.1, softcap=9.0)
    assert isinstance(ours, torch.nn.LinearCrossEntropyLoss)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    input, target = torch.randn(3, 4), torch.tensor([0, 1, 5])
    ours.softcap = None
    torch.testing.assert_close(ours(input, target), theirs(input, target))
    assert repr(ours) == repr(theirs)
    ours.softcap = 9.0
    assert repr(ours) == repr(theirs).replace("options=None", "options=None, softcap=9.0")


def test_copies_and_pickles() -> None:
    module = crossent.LinearCrossEntropyLoss(**HEAD, bias=True, shift=1, options=LinearPlan(rows=2), z_loss=0.1)
    input, target = torch.randn(2, 3, 4), torch.randint(0, 6, (2, 3))
    expected = module(input, target)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin(input, target), expected)
        assert repr(twin) == repr(module)


def test_what_is_given_to_forward_takes_precedence() -> None:
    module = crossent.LinearCrossEntropyLoss(**HEAD, denominator=2.0, logit_scale=3.0)
    input, target = torch.randn(5, 4), torch.randint(0, 6, (5,))
    weight, head = torch.rand(5), module.linear.weight
    torch.testing.assert_close(
        module(input, target, weight, torch.tensor(0.5), torch.tensor(4.0)),
        crossent.linear_cross_entropy(input, head, target, sample_weight=weight, logit_scale=0.5, denominator=4.0),
    )


@torchs
def test_torchs_options_object() -> None:
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=2, acc_dtype=torch.float32, acc_policy="compact")
    assert torch.equal(call(options=options), call(options=LinearPlan(rows=2)))
    with pytest.raises(TypeError, match="XEN055"):
        call(options={"rows": 2})


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"input": torch.ones(2, 5, 4)}, RuntimeError, "XEN050"),
        ({"input": torch.ones(5, 3)}, RuntimeError, "XEN051"),
        ({"linear_bias": torch.ones(5)}, RuntimeError, "XEN051"),
        ({"input": torch.ones(5, 4).double()}, RuntimeError, "XEN052"),
        ({"target": torch.rand(5, 6), "ignore_index": -100}, RuntimeError, "XEN053"),
        ({"target": torch.tensor([0, 9, 1, 0, 0])}, IndexError, "XEN009"),
        ({"target": torch.tensor([1, 6, 1, 2, 3])}, IndexError, "XEN010"),
        ({"target": torch.zeros(7).long()}, ValueError, "XEN007"),
        ({"weight": torch.ones(7)}, RuntimeError, "XEN011"),
        ({"weight": torch.ones(6).double()}, RuntimeError, "XEN012"),
        ({"weight": torch.ones(6, requires_grad=True)}, RuntimeError, "XEN019"),
        ({"reduction": "avg"}, ValueError, "XEN014"),
        ({"label_smoothing": 1.5}, RuntimeError, "XEN015"),
        ({"input": [[1.0]]}, AttributeError, "XEN020"),
        ({"target": [0, 1, 2, 3, 4]}, AttributeError, "XEN020"),
        ({"linear_weight": torch.nn.Linear(4, 6)}, AttributeError, "XEN058"),
        ({"linear_bias": torch.nn.Linear(4, 6)}, AttributeError, "XEN058"),
    ],
)
def test_torch_refuses_and_advice_is_added(changes: dict[str, Any], kind: type[Exception], code: str) -> None:
    ours = outcome(lambda: call(**changes))
    before = internals.torch_linear is None and kind is AttributeError  # F.linear's TypeError
    assert type(ours) is (TypeError if before else kind) and ours.crossent_code == code, repr(ours)
    if internals.torch_linear is not None:
        given = {
            "input": torch.ones(5, 4),
            "linear_weight": torch.ones(6, 4),
            "target": torch.zeros(5).long(),
            **changes,
        }
        theirs = outcome(lambda: internals.torch_linear(**given))
        assert type(theirs) is kind and first_line(ours) == str(theirs)


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"memory_budget": 10}, ValueError, "XEN054"),
        ({"shift": 1, "input": torch.ones(2, 3, 4)}, ValueError, "XEN056"),
        ({"shift": -1, "input": torch.ones(1, 5, 4)}, ValueError, "XEN030"),
        ({"denominator": 2.0, "reduction": "sum"}, ValueError, "XEN032"),
        ({"sample_weight": torch.ones(4)}, ValueError, "XEN034"),
        ({"softcap": -1.0}, ValueError, "XEN030"),
        ({"backend": "gpu"}, RuntimeError, "XEN040"),
        ({"valid_rows": 4}, ValueError, "XEN057"),
        ({"valid_rows": -1}, ValueError, "XEN030"),
        ({"valid_rows": 2.0}, ValueError, "XEN030"),
        ({"valid_rows": 2, "target": torch.full((5, 6), 1 / 6)}, ValueError, "XEN030"),
    ],
)
def test_crossents_own_refusals(changes: dict[str, Any], kind: type[Exception], code: str) -> None:
    ours = outcome(lambda: call(**changes))
    assert type(ours) is kind and ours.crossent_code == code, repr(ours)


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"linear_weight": torch.nn.Linear(4, 6)}, TypeError, "XEN058"),
        ({"tokens": [0, 1]}, TypeError, "XEN020"),
        ({"tokens": torch.tensor([0, 1])}, ValueError, "XEN007"),
        ({"tokens": torch.tensor([0, 1, 9])}, IndexError, "XEN009"),
        ({"tokens": torch.tensor([[0, 1], [2, 9], [3, 3]])}, IndexError, "XEN009"),
    ],
)
def test_refusals_name_the_function_that_was_called(changes: dict[str, Any], kind: type[Exception], code: str) -> None:
    given = {"input": torch.ones(3, 4), "linear_weight": torch.ones(6, 4), "tokens": torch.zeros(3).long(), **changes}
    refusal = outcome(lambda: crossent.linear_log_prob(**given))
    assert type(refusal) is kind and refusal.crossent_code == code, repr(refusal)
    assert "target (" not in str(refusal) and "cross_entropy(" not in str(refusal)
    assert "came: " not in str(refusal) or "came:     linear_log_prob(input (3, 4) float32" in str(refusal)
    assert "head.weight" in str(refusal) or code != "XEN058"


def test_the_refused_budget_names_one_that_is_enough() -> None:
    refusal = outcome(lambda: call(memory_budget=10, backend="reference"))
    least = int(str(refusal).split("at least ")[1].split(" ")[0])
    assert call(memory_budget=least, backend="reference").isfinite()
    with pytest.raises(ValueError, match="XEN054"):
        call(memory_budget=least - 1, backend="reference")


@torchs
def test_the_patched_function_is_ours() -> None:
    with crossent.patch():
        assert torch.nn.functional.linear_cross_entropy is crossent.linear_cross_entropy
        loss = torch.nn.LinearCrossEntropyLoss(**HEAD)
        assert loss(torch.randn(3, 4), torch.tensor([0, 1, 2])).isfinite()
