"""Everybody who takes part: the bare products, torch's ways, crossent's, and peers where they run."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import crossent
from crossent import LinearPlan, internals
from crossent.bench.linear.cases import DTYPES, SWEEP_NAME, Case

Call = Callable[[], object]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

PRODUCTS, ONE_PRODUCT = "products", "one product"
PLAIN, CHUNKED, OURS = "F.linear + F.cross_entropy", "torch chunked", "crossent"
DRAWN = (PRODUCTS, PLAIN, CHUNKED, OURS)  # who takes part in the sweep
PEERS = {"liger-kernel": "liger_kernel", "cut-cross-entropy": "cut_cross_entropy", "torchtune": "torchtune"}


class Problem:
    """The tensors of one case."""

    def __init__(self, case: Case, ignored: float = 0.0) -> None:
        torch.manual_seed(0)
        self.case, self.kind = case, getattr(torch, DTYPES[case.dtype])
        self.input = torch.randn(case.rows, case.features).to(self.kind).requires_grad_()
        self.head = torch.randn(case.classes, case.features).mul_(0.02).to(self.kind).requires_grad_()
        self.target = torch.randint(0, case.classes, (case.rows,))
        if ignored:
            self.target[torch.rand(case.rows) < ignored] = -100

    def both(self, loss: Loss) -> Call:
        """Loss and backward."""

        def run() -> Tensor:
            self.input.grad = self.head.grad = None
            value = loss(self.input, self.head, self.target)
            value.backward()
            return value

        return run

    def products(self) -> Call:
        """The three products into memory that is there: no loss is faster."""
        input, head, low = self.input.detach(), self.head.detach(), self.kind
        logits = torch.zeros(input.shape[0], head.shape[0], dtype=low)
        d_input, d_head = torch.zeros_like(input), torch.zeros_like(head)

        def run() -> None:
            torch.mm(input, head.t(), out=logits)
            torch.mm(logits, head, out=d_input)
            torch.mm(logits.t(), input, out=d_head)

        return run

    def one_product(self) -> Call:
        """The logits alone."""
        input, head = self.input.detach(), self.head.detach()
        logits = torch.zeros(input.shape[0], head.shape[0], dtype=self.kind)
        return lambda: torch.mm(input, head.t(), out=logits)

    def evaluation(self) -> Call:
        """The loss without gradients."""

        def run() -> Tensor:
            with torch.no_grad():
                return crossent.linear_cross_entropy(self.input, self.head, self.target)

        return run


def plain(input: Tensor, head: Tensor, target: Tensor) -> Tensor:
    """Logits in float32 for the loss, as trainings do it."""
    return F.cross_entropy(F.linear(input, head).float(), target)


def plain_low(input: Tensor, head: Tensor, target: Tensor) -> Tensor:
    """The loss in the dtype of the logits."""
    return F.cross_entropy(F.linear(input, head), target)


def chunked(input: Tensor, head: Tensor, target: Tensor) -> Tensor:
    """torch's own, with its defaults."""
    options = internals.torch_linear_options
    assert internals.torch_linear is not None and options is not None
    return internals.torch_linear(input, head, target, options=options())


def ours(**how: Any) -> Loss:
    """crossent's with a plan."""
    plan = LinearPlan(**how)
    return lambda input, head, target: crossent.linear_cross_entropy(input, head, target, options=plan)


def frozen(input: Tensor, head: Tensor, target: Tensor) -> Tensor:
    """The head gets no gradient."""
    return crossent.linear_cross_entropy(input, head.detach(), target)


def makers(problem: Problem) -> dict[str, Callable[[], Call]]:
    """Provider -> its call on these tensors."""
    both, low = problem.both, problem.kind
    found: dict[str, Callable[[], Call]] = {
        PRODUCTS: problem.products, ONE_PRODUCT: problem.one_product, PLAIN: lambda: both(plain),
        "torch.compile of it": lambda: both(torch.compile(plain, dynamic=False)),
    }  # fmt: skip
    if low != torch.float32:
        found[f"{PLAIN}, 16-bit loss"] = lambda: both(plain_low)
    if internals.torch_linear_options is not None:
        found[CHUNKED] = lambda: both(chunked)
    found[OURS] = lambda: both(ours())
    if low != torch.float32:
        found[f"{OURS}, 16-bit sums"] = lambda: both(ours(accumulate=low))
    if problem.case.head == SWEEP_NAME:
        return {name: make for name, make in found.items() if name in DRAWN}
    return found | {
        f"{OURS}, 80% ignored": lambda: Problem(problem.case, 0.8).both(ours()),
        f"{OURS}, frozen head": lambda: both(frozen), f"{OURS}, no gradient": problem.evaluation,
    }  # fmt: skip


def plans(problem: Problem) -> dict[str, Callable[[], Call]]:
    """Every plan that could have been chosen."""
    rows = sorted({min(n, problem.case.rows) for n in (64, 128, 256, 512, 1024, 2048)})
    ways: dict[str, dict[str, Any]] = {f"rows={n}": {"rows": n} for n in rows}
    ways |= {"recompute": {"gradients": "recompute"}, "classes=4096": {"classes": 4096}}
    return {name: lambda way=way: problem.both(ours(**way)) for name, way in ways.items()}


def exact(name: str) -> bool:
    """Whether the provider's gradients are those of the whole loss."""
    return name not in (PRODUCTS, ONE_PRODUCT) and not name.endswith(("ignored", "frozen head", "no gradient"))


def absent() -> dict[str, str]:
    """Peers that take no part, and why."""
    reasons = {
        name: "it has no CPU kernels"
        if importlib.util.find_spec(module)
        else "it is not installed (and has none for a CPU)"
        for name, module in PEERS.items()
    }
    if internals.torch_linear_options is None:
        reasons[CHUNKED] = "torch has it from 2.13 on"
    return reasons
