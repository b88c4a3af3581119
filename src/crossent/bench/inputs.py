"""The tensors of a case: the same numbers for every provider and in every process."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from crossent.bench.cases import BOTH, CUDA, Case

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SEED = 0
IGNORED = -100
WARM_ELEMENTS = 1 << 20  # of a call that is large enough to start every thread, and costs little


@dataclass(slots=True)
class Inputs:
    """What a loss is called with. ``keywords`` are crossent's; ``recipes.py`` reads the same ones."""

    case: Case
    logits: Tensor  # a leaf; requires a gradient unless the case is forward only
    target: Tensor
    keywords: dict[str, Any] = field(default_factory=dict[str, Any])
    upstream: Tensor | None = None
    head: Tensor | None = None  # (V, H): ``logits`` are then the hidden states of a linear head

    @property
    def differentiates(self) -> bool:
        return self.case.mode == BOTH


def make(case: Case) -> Inputs:
    """Logits from a standard normal distribution, labels at random."""
    torch.manual_seed(SEED)
    if case.device == CUDA:
        with torch.device("cuda"):
            return _make(case)
    return _make(case)


def _make(case: Case) -> Inputs:
    if case.features:
        return _linear(case)
    setting, (outer, classes, *places) = case.setting, case.shape
    logits = torch.randn(case.shape, dtype=DTYPES[case.dtype])
    keywords: dict[str, Any] = dict(setting.numbers)
    if setting.probabilities:
        target = torch.randn(case.shape, dtype=DTYPES[case.dtype]).softmax(1)
    else:
        target = torch.randint(classes, (outer, *places))
        if setting.ignored:
            target[torch.rand(target.shape) < setting.ignored] = IGNORED
    if "weight" in setting.tensors:
        keywords["weight"] = torch.rand(classes).add_(0.5).to(logits.dtype)
    if "sample_weight" in setting.tensors:
        keywords["sample_weight"] = torch.rand(outer, *places).add_(0.5)
    if setting.reduction != "mean":
        keywords["reduction"] = setting.reduction
    logits.requires_grad_(case.mode == BOTH)
    return Inputs(case, logits, target, keywords, _upstream(case))


def _linear(case: Case) -> Inputs:
    """Hidden states and a head whose logits are near standard normal."""
    (rows, classes), dtype = case.shape, DTYPES[case.dtype]
    hidden = torch.randn(rows, case.features, dtype=dtype)
    head = torch.randn(classes, case.features, dtype=dtype).mul_(case.features**-0.5)
    grad, target = case.mode == BOTH, torch.randint(classes, (rows,))
    keywords: dict[str, Any] = {}
    if case.setting.ignored:
        target[torch.rand(rows) < case.setting.ignored] = IGNORED
        keywords["valid_rows"] = int((target != IGNORED).sum())
    return Inputs(case, hidden.requires_grad_(grad), target, keywords, head=head.requires_grad_(grad))


def _upstream(case: Case) -> Tensor | None:
    """The gradient that the backward starts from; None: the 1 that torch makes itself."""
    outer, _, *places = case.shape
    if case.setting.reduction == "none":
        return torch.rand(outer, *places).add_(0.5).div_(case.rows).to(DTYPES[case.dtype])
    if case.setting.upstream is not None:
        return torch.tensor(case.setting.upstream, dtype=DTYPES[case.dtype])
    return None


def warm_case(case: Case) -> Case:
    """The same call on few rows: loads every kernel that the case needs."""
    outer, classes, *places = case.shape
    rows = min(case.rows, math.ceil(WARM_ELEMENTS / classes))
    if not places:
        return replace(case, shape=(rows, classes))
    side = min(places[0], math.ceil(math.sqrt(rows)))
    return replace(case, shape=(min(outer, 1), classes, *[side] * len(places)))
