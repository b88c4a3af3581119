"""Rows in NumPy float64, by the formulas of ``stats.py`` written out; no loss of torch's. CPU kernels are held to it.

Errors are held to a bound that follows from the arithmetic: the terms of a row are computed in the
compute type, each passes a fixed number of roundings and exp adds the rounding of its argument; what
is stored in 16 bits is rounded once more.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossent.backends import cpu
from crossent.backends.protocol import RowGradWant, RowProblem
from crossent.stats import GradCoefficients, RowStats, loss_coefficients, row_loss

F32, F64, BF16, F16 = torch.float32, torch.float64, torch.bfloat16, torch.float16
ROUNDINGS = 16.0


def numbers(value: Any) -> Any:
    return value.detach().double().numpy() if isinstance(value, Tensor) else value


@dataclasses.dataclass
class Oracle:
    """Rows of float64 numbers, in the shape (outer, V, inner)."""

    problem: RowProblem

    def __post_init__(self) -> None:
        p = self.problem
        x, scale = numbers(p.logits), numbers(p.logit_scale)
        self.scale = scale[:, None] if isinstance(scale, np.ndarray) else scale
        self.read = np.ones(p.row_shape, bool) if not p.is_index else p.target.numpy() != p.skip
        with np.errstate(all="ignore"):
            self.x = np.where(self.read[:, None], x, 0.0)
            z = self.x * self.scale
            self.slope = np.ones_like(z)
            if p.softcap is not None:
                self.slope = 1 - np.tanh(z / p.softcap) ** 2
                z = p.softcap * np.tanh(z / p.softcap)
            self.z = z
            self.max = z.max(1)
            self.shifted = z - self.max[:, None]
            self.log_sum = np.log(np.exp(self.shifted).sum(1))
            self.softmax = np.exp(self.shifted - self.log_sum[:, None])
            self.q, self.dot, self.mass = self._target()
            self.tilt = np.where(self.softmax == 0, 0, self.softmax * self.shifted).sum(1)

    def _target(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        p = self.problem
        w = np.ones(p.classes) if p.class_weight is None else numbers(p.class_weight)
        if not p.is_index:
            q = w[:, None] * (p.on * numbers(p.target) + p.off)
            return q, (q * self.shifted).sum(1), q.sum(1)
        y = np.where(self.read, p.target.numpy(), 0)[:, None]
        hot = np.arange(p.classes)[:, None] == y
        q = np.where(hot, p.on * w[:, None], 0) + p.off * w[:, None]
        terms = q * self.shifted if p.off else np.where(hot, q * self.shifted, 0)
        return q, terms.sum(1), q.sum(1)

    def stats(self) -> dict[str, np.ndarray]:
        return {name: np.where(self.read, getattr(self, name), 0) for name in ("max", "log_sum", "dot", "mass", "tilt")}

    def loss(self) -> np.ndarray:
        loss = self.mass * self.log_sum - self.dot
        if self.problem.z_loss:
            loss = loss + self.problem.z_loss * (self.max + self.log_sum) ** 2
        return np.where(self.read, loss, 0)

    def gradient(self, soft: np.ndarray, hard: np.ndarray, bend: np.ndarray | float = 0.0) -> tuple[np.ndarray, ...]:
        """d logits, the gradient to the scale and to probabilities, from coefficients per row."""
        bent = np.where(self.softmax == 0, 0, self.shifted) * (bend[:, None] if isinstance(bend, np.ndarray) else bend)
        dz = self.softmax * (soft[:, None] + bent) - hard[:, None] * self.q
        dz = dz * self.slope
        d_scale = np.where(np.isinf(self.x), 0, dz * self.x).sum(1)
        w = 1.0 if self.problem.class_weight is None else numbers(self.problem.class_weight)[:, None]
        d_target = hard[:, None] * w * self.problem.on * (self.log_sum[:, None] - self.shifted)
        read = self.read
        return np.where(read[:, None], dz * self.scale, 0), np.where(read, d_scale, 0), d_target


def close(name: str, ours: Tensor, exact: np.ndarray, size: np.ndarray | float, compute: torch.dtype) -> None:
    """|ours - exact| <= u * size * ROUNDINGS + u(stored) * |exact|; NaN and infinities agree."""
    got = numbers(ours)
    assert np.array_equal(np.isnan(got), np.isnan(exact)), f"{name}: NaN differ"
    infinite = np.isinf(exact)
    assert np.array_equal(got[infinite], exact[infinite]), f"{name}: infinities differ"
    fine = ~(np.isnan(exact) | infinite)
    unit, stored = torch.finfo(compute).eps / 2, torch.finfo(ours.dtype).eps / 2
    tiny = torch.finfo(ours.dtype).smallest_normal
    bound = unit * ROUNDINGS * np.broadcast_to(size, exact.shape) + 1.01 * stored * np.abs(exact) + tiny
    over = np.abs(got - exact)[fine] - bound[fine]
    assert not (over > 0).any(), f"{name}: {over.max():.3g} above the bound"


def layouts(outer: int, classes: int, inner: int) -> dict[str, Tensor]:
    return {
        "inner last": torch.randn(outer, classes, inner),
        "class last": torch.randn(outer, inner, classes).transpose(1, 2),
        "class first": torch.randn(classes, outer, inner).transpose(0, 1),
        "step 2": torch.randn(outer, 2 * classes, inner)[:, ::2],
        "rows apart": torch.randn(outer, inner, classes + 3)[:, :, 1 : classes + 1].transpose(1, 2),
        "turned": torch.randn(inner, classes, outer).permute(2, 1, 0),
    }


def make(logits: Tensor, option: str) -> RowProblem:
    outer, classes, inner = logits.shape
    compute = F64 if logits.dtype == F64 else F32
    target = torch.randint(0, classes, (outer, inner))
    weight = torch.rand(classes, dtype=compute) + 0.5
    given: dict[str, Any] = {"class_weight": None, "on": 1.0, "off": 0.0, "skip": -100, "target": target}
    if option == "weights, smoothing, skip, z_loss":
        target[torch.rand(outer, inner) < 0.3] = -100
        given |= {"class_weight": weight, "on": 0.9, "off": 0.1 / classes, "z_loss": 1e-2}
    elif option == "smoothing":
        given |= {"on": 0.8, "off": 0.2 / classes, "skip": classes - 1}
    elif option == "scale":
        given |= {"logit_scale": 1.7}
    elif option == "softcap, scale per row, weights":
        scale = torch.rand(outer, inner, dtype=compute) + 0.5
        given |= {"softcap": 4.0, "logit_scale": scale, "class_weight": weight}
    elif option == "probabilities":
        given |= {"target": torch.rand(logits.shape), "skip": None}
    elif option == "probabilities of another dtype, weights, softcap":
        probs = torch.rand(inner, classes, outer).permute(2, 1, 0).to(BF16 if logits.dtype == F32 else F64)
        given |= {
            "target": probs,
            "skip": None,
            "class_weight": weight,
            "on": 0.9,
            "off": 0.1 / classes,
            "softcap": 9.0,
        }
    return RowProblem(logits=logits, **given)


OPTIONS = (
    "plain",
    "weights, smoothing, skip, z_loss",
    "smoothing",
    "scale",
    "softcap, scale per row, weights",
    "probabilities",
    "probabilities of another dtype, weights, softcap",
)
# One class, one row, blocks of 512 and tiles of 16 not filled, just filled and overflown.
SHAPES = (
    (1, 1, 1),
    (37, 10, 1),
    (3, 63, 1),
    (5, 64, 1),
    (2, 513, 1),
    (3, 1100, 1),
    (1, 21, 70),
    (2, 5, 600),
    (3, 90, 2),
)


@np.errstate(all="ignore")
def check(problem: RowProblem) -> None:
    """Statistics, losses and gradients of one problem."""
    oracle, compute = Oracle(problem), problem.compute_dtype
    shape, dtype = problem.logits.shape, problem.logits.dtype
    spread = 1 + np.abs(oracle.q).sum(1) * (np.abs(oracle.shifted).max(1) + np.abs(oracle.z).max(1) + 1)
    terms = (1 + np.abs(oracle.z) + np.abs(oracle.shifted)) * np.maximum(np.abs(oracle.scale), 1)
    stats = cpu.row_stats(problem, tilt=True)
    for name, exact in oracle.stats().items():
        close(name, getattr(stats, name), exact, spread, compute)
    upstream = torch.randn(problem.row_shape, dtype=compute)
    close("row_loss", row_loss(stats, problem.z_loss), oracle.loss(), spread**2, compute)
    bend = np.abs(numbers(upstream))
    c = loss_coefficients(RowStats(*map(torch.from_numpy, oracle.stats().values())), problem.z_loss, upstream.double())
    soft, hard = numbers(c.soft), numbers(c.hard)
    exact, _, _ = oracle.gradient(soft, hard)
    size = terms * (oracle.softmax * np.abs(soft)[:, None] + np.abs(hard)[:, None] * np.abs(oracle.q))
    for out in (cpu.empty(tuple(shape), dtype, torch.device("cpu")), torch.empty_like(problem.logits)):
        out.fill_(math.nan)
        loss = cpu.row_loss_and_grad(problem, torch.tensor(0.5, dtype=compute), 2 * upstream, out)
        close("loss", loss, oracle.loss(), spread**2, compute)
        close("gradient", out, exact, size, compute)
    if not problem.logits.is_contiguous() or problem.logits.shape[2] == 1:
        over = torch.empty_strided(shape, problem.logits.stride(), dtype=dtype).copy_(problem.logits)
        cpu.row_loss_and_grad(dataclasses.replace(problem, logits=over), torch.tensor(1.0), upstream, over)
        close("in place", over, exact, size, compute)
    coefficients = GradCoefficients(c.soft.to(compute), c.hard.to(compute), upstream.abs())
    want = RowGradWant(scale=True, target=not problem.is_index)
    grads = cpu.row_grad(problem, stats, coefficients, out, want=want)
    exact, d_scale, d_target = oracle.gradient(soft, hard, bend)
    size = size + terms * oracle.softmax * (np.abs(oracle.shifted) * np.abs(bend)[:, None])
    close("row_grad", out, exact, size, compute)
    close("d scale", grads.scale, d_scale, (size * np.abs(oracle.x)).sum(1), compute)  # type: ignore[arg-type]
    if want.target:
        assert grads.target is not None and grads.target.dtype == problem.target.dtype
        close("d target", grads.target, d_target, terms * np.abs(hard)[:, None] * 8, compute)
