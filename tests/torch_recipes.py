"""What a user of torch writes for the same loss: torch's own function where it means the same, else its parts.

In float64 this is the second opinion on the reference; in the case's dtype it is the error to beat.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from arguments import Arguments, class_axis
from cases import Case

TORCHS = {"weight", "ignore_index", "reduction", "label_smoothing"}


def answers(case: Case, arguments: Arguments) -> dict[str, Tensor]:
    """The outputs of a call by name, made of torch's functions."""
    known = arguments.keywords
    if case.function == "log_softmax":
        z = _mapped(arguments.input, known, class_axis(case))
        return {"result": F.log_softmax(z, known["dim"], dtype=known.get("dtype"))}
    if case.function != "cross_entropy_with_stats" and set(known) <= TORCHS:
        return {"loss": getattr(F, case.function)(arguments.input, arguments.target, **known)}
    return _composed(case, arguments)


def torch_itself(case: Case) -> bool:
    """Whether torch has the function, and the answer is not made of its parts."""
    beyond = {"logit_scale_0d", "logit_scale_rows", "sample_weight", "denominator"}
    if case.function == "log_softmax":
        return set(case.options) <= {"dim", "dtype"} and not case.tensors
    parts = case.function != "cross_entropy_with_stats" and set(case.options) <= TORCHS
    return parts and not any(name.startswith(tuple(beyond)) for name in case.tensors)


def _mapped(logits: Tensor, known: dict[str, Any], axis: int) -> Tensor:
    scale, cap = known.get("logit_scale"), known.get("softcap")
    if scale is not None:
        logits = logits * (scale.unsqueeze(axis) if isinstance(scale, Tensor) and scale.dim() else scale)
    return logits if cap is None else cap * torch.tanh(logits / cap)


def _composed(case: Case, arguments: Arguments) -> dict[str, Tensor]:
    known, target = arguments.keywords, arguments.target
    assert target is not None
    axis, indices = class_axis(case), not target.is_floating_point()
    z = arguments.input.movedim(axis, -1)
    target = target.reshape(z.shape[:-1]) if indices else target.movedim(axis, -1)
    weight, sample, scale = known.get("weight"), known.get("sample_weight"), known.get("logit_scale")
    shift = min(known.get("shift", 0), z.shape[-2]) if known.get("shift") else 0
    if shift:  # position t - shift predicts entry t
        length = z.shape[-2] - shift
        z = z.narrow(-2, 0, length)
        target = target.narrow(-1 if indices else -2, shift, length)
        sample = None if sample is None else sample.narrow(-1, shift, length)
        scale = scale.narrow(-1, shift, length) if isinstance(scale, Tensor) and scale.dim() else scale
    z = _mapped(z, {**known, "logit_scale": scale}, z.dim() - 1)
    rows, classes = z.shape[:-1], z.shape[-1]
    z, target = (
        z.reshape(rows.numel(), classes),
        target.reshape((rows.numel(),) if indices else (rows.numel(), classes)),
    )
    ignore = known.get("ignore_index", -100)
    read = target != ignore if indices else torch.ones(len(z), dtype=torch.bool)
    fields = _fields(case, known, z, target, read)
    row = fields.pop("row") + fields["z_loss"]
    share = read.to(row.dtype)
    if weight is not None and indices:
        share = torch.where(read, weight[torch.where(read, target, 0)], 0.0)
    if sample is not None:
        sample = torch.where(read, sample.reshape(-1).to(row.dtype), 0.0)
        row, share = row * sample, share * sample
    loss = _reduced(known, row, share, read).to(known.get("out_dtype", row.dtype))
    back = {"loss": loss} | (fields if case.function == "cross_entropy_with_stats" else {})
    return {name: _widened(value, rows, shift, name) if value.dim() else value for name, value in back.items()}


def _fields(case: Case, known: dict[str, Any], z: Tensor, target: Tensor, read: Tensor) -> dict[str, Tensor]:
    """Per-row terms, zeros where not read."""
    indices, ignore = not target.is_floating_point(), known.get("ignore_index", -100)
    weight, smoothing = known.get("weight"), known.get("label_smoothing", 0.0)
    if case.function == "nll_loss":
        row = F.nll_loss(z, target, weight, ignore_index=ignore, reduction="none")
        return {"row": row, "z_loss": torch.zeros_like(row)}
    row = F.cross_entropy(z, target, weight, ignore_index=ignore, reduction="none", label_smoothing=smoothing)
    lse = torch.where(read, z.logsumexp(-1), 0.0)
    squares = known["z_loss"] * lse.square() if known.get("z_loss") else torch.zeros_like(lse)  # not 0 * inf
    known_fields = {"row": row, "z_loss": squares}
    if case.function != "cross_entropy_with_stats":
        return known_fields
    log_probs = F.log_softmax(z, -1)
    terms = torch.where(log_probs.exp() == 0, 0.0, log_probs.exp() * log_probs)
    predicted = z.argmax(-1)
    wanted = target if indices else target.argmax(-1)
    own = z.gather(1, torch.where(read, wanted, 0)[:, None])
    rank = (z > own).sum(-1) if indices else torch.full_like(predicted, -1)
    return known_fields | {
        "nll": F.cross_entropy(z, target, ignore_index=ignore, reduction="none"),
        "logsumexp": lse,
        "entropy": torch.where(read, -terms.sum(-1), 0.0),
        "predicted": torch.where(read, predicted, -1),
        "correct": (predicted == wanted) & read,
        "rank": torch.where(read, rank, -1),
    }


def _reduced(known: dict[str, Any], row: Tensor, share: Tensor, read: Tensor) -> Tensor:
    if known.get("reduction", "mean") == "none":
        return row
    if known.get("reduction", "mean") == "sum":
        return row.sum()
    below = known.get("denominator")
    below = share.sum() if below is None else torch.as_tensor(below, dtype=row.dtype).reshape(())
    if known.get("if_all_ignored") == "zero" and not read.any():
        below = torch.ones_like(below)
    return row.sum() / below


def _widened(value: Tensor, rows: torch.Size, shift: int, name: str) -> Tensor:
    fill = {"predicted": -1, "rank": -1}.get(name, 0)
    return F.pad(value.reshape(rows), (shift, 0), value=fill) if shift else value.reshape(rows)
