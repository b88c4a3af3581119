"""What the doctor's functions refuse when they are called by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossent import doctor

Z, Y, NET = torch.randn(4, 5), torch.arange(4), nn.Linear(5, 3)


def nothing(*_: Any) -> None:
    """A loss that forgets to return."""


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: doctor("x"), "takes the tensor that a loss returned, not str"),
    (lambda: doctor(Z), r"came \(4, 5\) without a graph. Write doctor\(logits, target\)"),
    (lambda: doctor([1.0, 2.0], [0]), "logits is not a tensor but list"),
    (lambda: doctor(Z, [0, 1, 2, 3]), "target is not a tensor but list"),
    (lambda: doctor(Z, Y, class_dim=7), "XEN036"),
    (lambda: doctor(Z, Y, foo=1), "it knows"),
    (lambda: doctor(Z, Y, function="mse"), "expected one of cross_entropy"),
    (lambda: doctor.batch(None), "batch=None.*\n.*\n.*a mapping with input_ids and labels"),  # type: ignore[arg-type]
    (lambda: doctor.accumulation([1.0], [1, 2]), "got 1 and 2"),
    (lambda: doctor.accumulation([1.0, 2.0], [0, 1]), "positive counts"),
    (lambda: doctor.accumulation(["a"], [1]), "one number of each batch"),  # type: ignore[list-item]
    (lambda: doctor.accumulation(3, 4), "losses=3"),  # type: ignore[arg-type]
    (lambda: doctor.crosscheck(None, Z, Y), "loss_fn=None"),  # type: ignore[arg-type]
    (lambda: doctor.crosscheck(nothing, Z, Y), "the loss of loss_fn is not a tensor but NoneType"),  # type: ignore[arg-type]
    (lambda: doctor.crosscheck(F.cross_entropy, Y, Y), "XEN001"),
    (lambda: doctor.watch(steps=-1), "steps=-1"),
    (lambda: doctor.watch(steps="3"), "steps='3'"),  # type: ignore[arg-type]
    (lambda: doctor.watch(every=-1), "every=-1"),
    (lambda: doctor.watch("model"), "a torch.nn.Module or None"),  # type: ignore[arg-type]
    (lambda: doctor.watch(announce="shout"), "announce='shout'"),
    (lambda: doctor.explain_error("x"), "an exception, as caught"),  # type: ignore[arg-type]
    (lambda: doctor.overfit(NET, (Z, Y % 3), F.cross_entropy, steps=0), "steps=0"),
    (lambda: doctor.overfit(NET, Z, F.cross_entropy), "a tuple"),  # type: ignore[arg-type]
    (lambda: doctor(Z, Y).save("x.pdf"), "x.pdf"),
    (lambda: doctor(Z, Y).raise_if("bad"), "expected note, warning, error"),
]


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_what_is_refused(call: Callable[[], Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError, IndexError, NotImplementedError), match=text):
        call()


@pytest.mark.parametrize(
    ("logits", "target", "code"),
    [
        (Y, Y, "XEN001"),
        (torch.tensor(1.0), torch.tensor(0), "XEN002"),
        (Z, Y[:3], "XEN007"),
        (Z, torch.randn(4), "XEN207"),
        (Z, torch.arange(4.0), "XEN207"),
    ],
)
def test_a_call_that_torch_would_refuse_is_never_called_sound(logits: Tensor, target: Tensor, code: str) -> None:
    report = doctor(logits, target)
    assert not report.ok and report.codes == [code]


def test_what_cannot_be_compared_is_said() -> None:
    ids = torch.ones(2, 3, dtype=torch.int64)
    assert "differ in shape" in str(doctor.batch({"input_ids": ids, "labels": torch.ones(2, 4).long()}))
    assert "no input_ids" in str(doctor.batch({"labels": ids}))
    assert doctor.accumulation(torch.tensor([1.0, 2.0]), torch.tensor([3, 400])).codes == ["XEN307"]  # type: ignore[arg-type]
