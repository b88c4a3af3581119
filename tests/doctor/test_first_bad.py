"""Which operation made the first NaN, and which module it belongs to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from crossent import doctor
from crossent.doctor.first_bad import origin

CAN_ASK = hasattr(torch._C._autograd.SavedTensor, "unpack_hook")
needs_hooks_that_can_be_asked_for = pytest.mark.skipif(not CAN_ASK, reason="torch 2.8 does not tell of hooks")


class Net(nn.Module):
    def __init__(self, breaks: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.breaks = breaks
        self.first = nn.Linear(8, 8)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.breaks(self.first(x))))


def logits(breaks: Callable[[Tensor], Tensor]) -> tuple[Tensor, Net]:
    net = Net(breaks)
    return net(torch.randn(4, 8)), net


BREAKS: dict[str, Callable[[Tensor], Tensor]] = {
    "Log": lambda x: x.log(),
    "Sqrt": lambda x: (-x.abs() - 1).sqrt(),
    "Exp": lambda x: (x.abs() * 1e6 + 1e6).exp(),
    "Div": lambda x: x / (x * 0),
    "MaskedFill": lambda x: x.masked_fill(x > -1e9, torch.nan),
}


@needs_hooks_that_can_be_asked_for
@pytest.mark.parametrize("operation", BREAKS)
@pytest.mark.parametrize("is_named", [True, False])
def test_the_operation_and_the_module_before_it(operation: str, is_named: bool) -> None:
    broken, net = logits(BREAKS[operation])
    found = origin(broken, net if is_named else None)
    assert found is not None
    assert (found.operation, found.module, found.is_own) == (operation, "first (Linear)", False)


@needs_hooks_that_can_be_asked_for
def test_a_module_of_its_own() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
    with torch.no_grad():
        net[0].weight.fill_(3e38)
    found = origin(net(torch.full((2, 8), 2.0)), net)
    assert str(found) == "the first operation with a bad result is Addmm of 0 (Linear)"


@needs_hooks_that_can_be_asked_for
def test_bad_data() -> None:
    x = torch.randn(4, 8)
    x[2, 3] = torch.inf
    net = Net(lambda x: x)
    assert str(origin(net(x), net)) == "the data that come into first (Linear) hold it already"


def test_the_last_operation_of_all() -> None:
    net = Net(lambda x: x)
    found = origin(net(torch.randn(4, 8)) - torch.inf, net)
    assert found is not None and found.operation == "Sub"


def test_what_a_hook_would_have_to_bring_back_is_not_read() -> None:
    asked: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: asked.append(1) or tensor):
        broken, net = logits(BREAKS["Log"])
    calls: list[int] = []
    recomputed = checkpoint(lambda x: calls.append(1) or net(x), torch.randn(4, 8), use_reentrant=False)
    origin(broken, net)
    origin(recomputed, net)
    assert not asked and len(calls) == 1


@needs_hooks_that_can_be_asked_for
def test_the_finding_says_it() -> None:
    broken, net = logits(BREAKS["Log"])
    with doctor.watch(net, announce=None) as watching:
        F.cross_entropy(broken, torch.zeros(4, dtype=torch.long))
    (finding,) = watching.report.findings
    assert finding.code == "XEN408"
    assert "the first operation with a bad result is Log after first (Linear)." in finding.message
