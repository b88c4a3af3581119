"""A machine without a device tests what a device would forbid.

:func:`as_on_a_device` makes crossent treat CPU tensors as those of a device whose numbers cannot be looked at, so
that the ways taken there are tested with numbers. With ``nothing_read=True`` it also refuses, by a dispatch mode,
every operation for which the host would have to wait for a device: numbers read back, shapes that depend on
values, tensors made of the host's numbers (a transfer). :func:`nothing_launched` lets the GPU engine do all but launch,
and :class:`Live` counts the bytes of what is allocated, also of tensors of the meta kind, which have none.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crossent import LinearPlan, handover, internals
from crossent.backends import gpu, protocol
from crossent.backends.gpu import call, launch

READS = frozenset(
    getattr(torch.ops.aten, name)
    for name in (
        "_local_scalar_dense", "item", "is_nonzero", "equal", "allclose", "nonzero", "nonzero_static",
        "masked_select", "argwhere", "unique_consecutive", "_unique", "_unique2", "unique_dim", "bincount",
    )
)  # fmt: skip
INDEXED = frozenset((torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_))


class DeviceRead(AssertionError):
    """The host would have waited for the device."""


class NothingRead(TorchDispatchMode):
    """Refuses what a device must not be asked, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        reason = waits(func.overloadpacket, args, kwargs or {})
        if reason is not None:
            raise DeviceRead(f"{func}: {reason}")
        return func(*args, **(kwargs or {}))


def waits(packet: Any, args: Any, kwargs: Any) -> str | None:
    """Why the host would wait for this operation, or None."""
    if packet in READS:
        return "reads the device"
    if packet is torch.ops.aten.lift_fresh:
        return "a tensor is made of the host's numbers and transferred"
    if packet is torch.ops.aten.repeat_interleave and kwargs.get("output_size") is None:
        return "the size of its result is read from the device"
    if packet in INDEXED and any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
        return "a mask: the number of its elements is read from the device"
    kinds = {tensor.device.type for tensor in _tensors((args, kwargs))}
    return f"a transfer between {' and '.join(sorted(kinds))}" if len(kinds) > 1 else None


@contextmanager
def as_on_a_device(monkeypatch: pytest.MonkeyPatch, *, nothing_read: bool = False) -> Iterator[NothingRead]:
    """See the module. The dispatch mode alone would send every call to the composite; here it does not."""
    rules = NothingRead()
    with monkeypatch.context() as patch:
        patch.setattr(protocol, "HOSTS", frozenset())
        patch.setattr(handover, "composite_context", lambda tensors: None)
        patch.setattr(internals, "dispatch_modes", lambda: 0)  # which a backward asks, too
        with rules if nothing_read else nullcontext():
            yield rules


@contextmanager
def nothing_launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The GPU engine takes tensors of any device and does everything but launch: the names of the kernels that it
    would have launched. Results are what was in memory; what is seen is all that the host does."""
    launched: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(gpu, "supports", lambda device, dtype: None)
        for room in (call, launch):
            patch.setattr(room, "start", lambda room, name, *rest: launched.append(name))
        yield launched


class Live(TorchDispatchMode):
    """Keeps book of the memory that operations allocate inside, and of when it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.book: list[tuple[int, int]] = []  # (number of the memory, bytes: negative where it is freed)
        self.known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            memory = tensor.untyped_storage()
            key = memory._cdata
            if key not in given and key not in self.known:
                self.known[key] = number = len(self.book)
                self.book.append((number, memory.nbytes()))
                weakref.finalize(memory, self._freed, key, number, memory.nbytes())
        return result

    def _freed(self, key: int, number: int, bytes: int) -> None:
        self.known.pop(key, None)
        self.book.append((number, -bytes))

    def peak(self, *but: Tensor) -> int:
        """The most bytes that were there at a time, not counting the memory of some tensors."""
        left_out = {self.known[tensor.untyped_storage()._cdata] for tensor in but}
        sums = itertools.accumulate(bytes for number, bytes in self.book if number not in left_out)
        return max(sums, default=0)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


# ---- calls that nothing may be read for

LOSSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "options": {"label_smoothing": 0.1, "softcap": 3.0, "z_loss": 0.1, "logit_scale": 0.5},
    "zero": {"if_all_ignored": "zero"},
    "denominator": {"denominator": 3.0},
    "denominator, zero": {"denominator": 3.0, "if_all_ignored": "zero"},
}
TENSORS: dict[str, tuple[str, ...]] = {
    "nothing": (), "weights": ("weight", "sample_weight"), "scale": ("logit_scale",), "denominator": ("denominator",),
}  # fmt: skip
PLANS = (None, LinearPlan(rows=3), LinearPlan(rows=3, gradients="recompute"), LinearPlan(rows=4, classes=3))
SHAPES = {"weight": (5,), "sample_weight": (7,), "logit_scale": (7,), "denominator": ()}


def keywords(
    name: str, tensors: str, *, leaf: bool = True, device: str = "cpu", backend: str = "reference"
) -> dict[str, Any]:
    """Numbers and tensors of a call on 7 rows of 5 classes; a combination that a call refuses is left out."""
    known = {**LOSSES[name], "backend": backend}
    for each in TENSORS[tensors]:
        if each != "denominator" or known.get("reduction") not in ("sum", "none"):
            grad = leaf and each in ("sample_weight", "logit_scale")
            known[each] = torch.rand(SHAPES[each], device=device).add_(0.5).requires_grad_(grad)
    return known


def differentiate(outputs: tuple[Tensor | None, ...], leaf: Tensor) -> Tensor:
    """d sum of the outputs that can be differentiated / d leaf, without a look at any of them; the graph is kept."""
    known = [output for output in outputs if output is not None and output.requires_grad]
    ones = [torch.ones_like(output) for output in known]
    return torch.autograd.grad(known, leaf, ones, retain_graph=True)[0]
