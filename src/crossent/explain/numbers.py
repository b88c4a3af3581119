"""The numbers of an explanation, in float64, with the formulas written out.

For a row of logits z with label y, target row q (DESIGN.md: one-hot, smoothed, weighted or a distribution)::

    shifted_c = z_c - max z        log_sum = log sum_c exp(shifted_c)        logsumexp = max z + log_sum
    loss      = mass * log_sum - sum_c q_c shifted_c                         mass = sum_c q_c
    gradient  = (mass * softmax_c - q_c) / denominator
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossent import errors
from crossent.explain import layouts, mistakes
from crossent.explain.checks import checked
from crossent.explain.layouts import LossMap, Profile
from crossent.explain.mistakes import Mistake


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0
    class_dim: int | None = None
    names: tuple[str, ...] = ()
    samples: int = 3
    worst: bool = False
    top: int = 5
    seen: float | None = None
    language: str = "en"


@dataclass(frozen=True, slots=True)
class ClassView:
    """One class of one row."""

    index: int
    name: str
    is_label: bool
    target: float  # q_c without weights: what the label asks for
    logit: float
    shifted: float
    probability: float
    log_probability: float
    gradient: float  # of the reduced loss


@dataclass(frozen=True, slots=True)
class RowView:
    """One row, in full."""

    index: int
    label: int | None  # None: a distribution
    largest: float  # max z
    logsumexp: float
    loss: float  # as it enters the reduction (weighted, smoothed)
    plain: float  # logsumexp - z_label, or the same sum over a distribution
    weight: float
    contribution: float
    share: float  # of the reduced loss
    rank: int  # classes above the label
    margin: float  # logit of the label minus the best other
    classes: tuple[ClassView, ...]


@dataclass
class Explanation:
    """Everything that the views show."""

    request: Request
    shape: tuple[int, ...]
    dtype: str
    class_dim: int
    row_count: int
    class_count: int
    valid: int
    ignored: int
    is_index: bool
    loss: float
    denominator: float
    denominator_is: str  # "count" | "weights" | "rows" | "one"
    torch_loss: float
    nll_of_log_softmax: float | None
    gradient_difference: float
    chance: float  # log C
    prior_entropy: float | None  # of the labels' frequencies
    rows: list[RowView]
    first_terms: list[float]
    mistakes: list[Mistake] = field(default_factory=list[Mistake])
    loss_map: LossMap | None = None  # of (N, C, H, W) logits
    profile: Profile | None = None  # of sequences

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        from dataclasses import asdict

        return asdict(self)

    def to_html(self) -> str:
        """A page of its own, without scripts."""
        from crossent.explain.html import page

        return page(self)

    def save(self, path: str | Path) -> None:
        """Write .html, .png or .txt, by the name's ending."""
        path = Path(path)
        if path.suffix == ".png":
            from crossent.explain.picture import draw

            draw(self, path)
        elif path.suffix in (".html", ".txt"):
            path.write_text(self.to_html() if path.suffix == ".html" else f"{self}\n", encoding="utf-8")
        else:
            raise errors.refuse("XEN030", option="path", came=str(path), expected="a name in .html, .png or .txt")

    def __str__(self) -> str:
        from crossent.explain.text import text

        return text(self)

    def _repr_html_(self) -> str:
        from crossent.explain.html import body

        return body(self)

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from crossent.explain.tables import rendered

        return rendered(self, options.max_width)


def explanation(logits: Any, target: Any, weight: Any, request: Request) -> Explanation:
    """Compute everything."""
    z_full, target, weight, axis = checked(logits, target, weight, request)
    z = z_full.movedim(axis, -1).reshape(-1, z_full.shape[axis]).double().cpu()
    is_index = not target.is_floating_point()
    labels = target.reshape(-1).long().cpu() if is_index else None
    probs = None if is_index else target.movedim(axis, -1).reshape(z.shape).double().cpu()
    w = torch.ones(z.shape[1], dtype=torch.float64) if weight is None else weight.double().cpu()
    problem = _Problem(z, labels, probs, w, request)
    rows = problem.row_losses()
    below, kind = problem.denominator(has_weight=weight is not None)
    total = float(rows.sum() / below) if request.reduction != "none" else float(rows.sum())
    gradient = problem.gradient(below)
    reference, autograd = problem.by_torch(weight is not None)
    order = problem.read.nonzero().reshape(-1)
    if request.worst:
        order = order[rows[order].argsort(descending=True)]
    return Explanation(
        request=request,
        shape=tuple(z_full.shape),
        dtype=str(z_full.dtype).removeprefix("torch."),
        class_dim=axis,
        row_count=z.shape[0],
        class_count=z.shape[1],
        valid=int(problem.read.sum()),
        ignored=int((~problem.read).sum()),
        is_index=is_index,
        loss=total,
        denominator=below,
        denominator_is=kind,
        torch_loss=reference,
        nll_of_log_softmax=problem.by_nll(weight is not None),
        gradient_difference=float((gradient - autograd).abs().max()) if gradient.numel() else 0.0,
        chance=math.log(max(1, z.shape[1])),
        prior_entropy=problem.prior_entropy(),
        rows=[problem.view(index, rows, gradient, below, total) for index in _whole(order[: request.samples])],
        first_terms=[float(rows[index]) for index in _whole(problem.read.nonzero()[:4])],
        mistakes=mistakes.table(z, labels, problem.options(weight is not None), total, request.seen)
        if bool(problem.read.any())
        else [],
        loss_map=problem.loss_map(rows, target.shape, z_full.dim()),
        profile=problem.profile(target.shape, z_full.dim()),
    )


@dataclass
class _Problem:
    z: Tensor
    labels: Tensor | None
    probs: Tensor | None
    w: Tensor
    request: Request

    def __post_init__(self) -> None:
        n, classes = self.z.shape
        smoothing = self.request.label_smoothing
        if self.labels is not None:
            self.read = self.labels != self.request.ignore_index
            hot = torch.zeros(n, classes, dtype=torch.float64)
            hot[self.read] = hot[self.read].scatter(1, self.labels[self.read].unsqueeze(1), 1.0)
            own = self.w[torch.where(self.read, self.labels, 0)].unsqueeze(1)
            self.asked = (1 - smoothing) * hot + smoothing / classes
            self.q = (1 - smoothing) * hot * own + smoothing / classes * self.w
        else:
            assert self.probs is not None
            self.read = torch.ones(n, dtype=torch.bool)
            self.asked = (1 - smoothing) * self.probs + smoothing / classes
            self.q = self.asked * self.w
        self.q = self.q * self.read.unsqueeze(1)
        self.top = self.z.amax(1, keepdim=True)
        self.shifted = self.z - self.top
        self.log_sum = self.shifted.exp().sum(1, keepdim=True).log()

    def row_losses(self) -> Tensor:
        terms = torch.where(self.q == 0, 0.0, self.q * (self.log_sum - self.shifted))
        return terms.sum(1)

    def denominator(self, has_weight: bool) -> tuple[float, str]:
        if self.request.reduction != "mean":
            return 1.0, "one"
        if self.labels is None:
            return float(len(self.z)), "rows"
        return float(self.w[self.labels[self.read]].sum()), "weights" if has_weight else "count"

    def gradient(self, below: float) -> Tensor:
        p = (self.shifted - self.log_sum).exp()
        return (self.q.sum(1, keepdim=True) * p - self.q) / below

    def options(self, has_weight: bool) -> dict[str, Any]:
        """torch's keyword arguments of this call; none is summed, so that there is one number to compare."""
        reduction = "sum" if self.request.reduction == "none" else self.request.reduction
        weight = self.w if has_weight else None
        return {"weight": weight, "ignore_index": self.request.ignore_index, "reduction": reduction}

    def by_torch(self, has_weight: bool) -> tuple[float, Tensor]:
        z = self.z.clone().requires_grad_()
        target = self.labels if self.labels is not None else self.probs
        assert target is not None
        smoothing = self.request.label_smoothing
        with torch.enable_grad():
            loss = torch.nn.functional.cross_entropy(z, target, label_smoothing=smoothing, **self.options(has_weight))
            (gradient,) = torch.autograd.grad(loss, z)
        return float(loss.detach()), gradient

    def by_nll(self, has_weight: bool) -> float | None:
        if self.labels is None or self.request.label_smoothing:
            return None
        log_probs = torch.nn.functional.log_softmax(self.z, 1)
        return float(torch.nn.functional.nll_loss(log_probs, self.labels, **self.options(has_weight)))

    def prior_entropy(self) -> float | None:
        if self.labels is None or not bool(self.read.any()):
            return None
        share = torch.bincount(self.labels[self.read]).double() / int(self.read.sum())
        return float(-(share[share > 0] * share[share > 0].log()).sum())

    def loss_map(self, rows: Tensor, shape: tuple[int, ...], dims: int) -> LossMap | None:
        if self.labels is None or dims != 4 or len(shape) != 3 or 0 in shape:
            return None
        losses, labels, read = (values.reshape(shape) for values in (rows, self.labels, self.read))
        return layouts.loss_map(losses, labels, read, self.request.names, self.request.worst)

    def profile(self, shape: tuple[int, ...], dims: int) -> Profile | None:
        if self.labels is None or dims != 3 or len(shape) != 2 or 0 in shape:
            return None
        log_probs = (self.shifted - self.log_sum).reshape(*shape, -1)
        return layouts.profile(log_probs, self.labels.reshape(shape), self.request.ignore_index)

    def view(self, i: int, rows: Tensor, gradient: Tensor, below: float, total: float) -> RowView:
        z, label = self.z[i], None if self.labels is None else int(self.labels[i])
        log_p = self.shifted[i] - self.log_sum[i]
        own = int(self.asked[i].argmax()) if label is None else label
        others = torch.cat([z[:own], z[own + 1 :]])
        contribution = float(rows[i]) / below
        return RowView(
            index=i,
            label=label,
            largest=float(self.top[i]),
            logsumexp=float(self.top[i] + self.log_sum[i]),
            loss=float(rows[i]),
            plain=float(-log_p[own]) if label is not None else float(-(self.asked[i] * log_p).sum()),
            weight=float(self.w[own]),
            contribution=contribution,
            share=contribution / total if total else 0.0,
            rank=int((z > z[own]).sum()),
            margin=float(z[own] - others.max()) if others.numel() else math.inf,
            classes=tuple(self._class(i, c, own, log_p, gradient) for c in self._shown(z, own)),
        )

    def _shown(self, z: Tensor, own: int) -> list[int]:
        best = _whole(z.topk(min(self.request.top, len(z))).indices)
        return best if own in best else [*best, own]

    def _class(self, i: int, c: int, own: int, log_p: Tensor, gradient: Tensor) -> ClassView:
        names = self.request.names
        return ClassView(
            index=c,
            name=str(names[c]) if c < len(names) else str(c),
            is_label=c == own,
            target=float(self.asked[i, c]),
            logit=float(self.z[i, c]),
            shifted=float(self.shifted[i, c]),
            probability=float(log_p[c].exp()),
            log_probability=float(log_p[c]),
            gradient=float(gradient[i, c]),
        )


def _whole(numbers: Tensor) -> list[int]:
    return [int(number) for number in numbers.reshape(-1)]
