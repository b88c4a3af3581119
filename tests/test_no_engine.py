"""Devices without an engine (MPS, XPU, ...): torch serves what it can do, the reference or the composite the rest.

No such device is here: dispatch is asked by name, meta tensors stand for tensors without an engine, and CPU tensors do
while the CPU's engine is not on the list. (Fake tensors that claim another device end torch's CPU build.)
"""

from __future__ import annotations

import pytest
import torch

import crossent
from crossent import dispatch
from serving import serving

DEVICES = ("mps", "xpu", "hpu")


@pytest.mark.parametrize("kind", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_dispatch_says_that_there_is_no_engine(kind: str, dtype: torch.dtype) -> None:
    device = torch.device(kind)
    backend, reason = dispatch.choose(None, device, dtype)
    assert (backend.name, reason) == ("reference", f"no engine for device type {kind!r}")
    for name in ("cpu", "gpu"):
        if isinstance(dispatch.load(name), str):
            continue
        with pytest.raises(RuntimeError, match="XEN040"):
            dispatch.choose(name, device, dtype)


def test_meta_tensors_take_the_composite() -> None:
    logits = torch.empty(7, 5, device="meta", requires_grad=True)
    target, hidden = torch.empty(7, device="meta", dtype=torch.int64), torch.empty(7, 3, device="meta")
    head = torch.empty(5, 3, device="meta", requires_grad=True)
    with serving() as calls:
        loss = crossent.cross_entropy(logits, target, z_loss=0.1)
        assert torch.autograd.grad(loss, logits)[0].shape == (7, 5)
        linear = crossent.linear_cross_entropy(hidden, head, target)
        assert torch.autograd.grad(linear, head)[0].shape == (5, 3)
    assert [call.by for call in calls] == ["composite", "composite"]


def test_plain_calls_are_torchs_and_others_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU tensors while no device has an engine: what a call on such a device would be."""
    monkeypatch.setattr(dispatch, "ENGINE_OF_DEVICE", {})
    monkeypatch.setattr("crossent.small.LIMIT_ELEMENTS", -1)
    logits, target = torch.randn(7, 5, requires_grad=True), torch.randint(0, 5, (7,))
    with serving() as calls:
        plain = crossent.cross_entropy(logits, target)
        beyond = crossent.cross_entropy(logits, target, z_loss=0.1)
        linear = crossent.linear_cross_entropy(logits, torch.eye(5), target)
    assert [call.by for call in calls] == ["torch", "reference", "reference"]
    assert all("no engine for device type 'cpu'" in (call.reason or "") for call in calls)
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(logits, target))
    torch.testing.assert_close(linear, plain)
    torch.testing.assert_close(beyond, plain + 0.1 * logits.logsumexp(1).square().mean())
