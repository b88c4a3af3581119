"""A few rows of the logits and of the target, taken once and brought over in one transfer.

Rows are evenly spaced: no random numbers are drawn. At most 32,768 logits are looked at (two rows, if those are
longer), whatever the size of the batch; targets up to a million are counted in full on their own device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

MOST_ROWS = 256
MOST_LOGITS = 1 << 15  # below the size at which torch uses several threads
FEWEST_ROWS = 2
MOST_TARGETS = 1 << 20
FEW_TARGETS = 1 << 10  # so many are counted faster as a list than by operations


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of all targets (index targets only)."""

    total: int
    valid: int  # not ignore_index
    low: int  # of the valid ones
    high: int
    is_exact: bool  # whether all were looked at


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows on the CPU."""

    rows: Tensor  # (n, V) float32 (float64 stays)
    target: Tensor | None  # (n,) int64, or (n, V) floating
    counted: Counted | None
    is_whole: bool  # whether these are all rows, in order
    result: float | None  # the loss, where it is one number
    has_nan: bool = False  # whether the losses hold NaN, where they are several and were looked at


def take(
    input: Tensor,
    target: Tensor | None,
    class_dim: int,
    ignore_index: int,
    result: Tensor | None = None,
    looks_for_nan: bool = False,
) -> Sample:
    """Sample a call; ``class_dim`` is not negative."""
    with torch.no_grad():
        by_row = _classes_last(input, class_dim)
        shape = tuple(by_row.shape[:-1])
        total, classes = max(1, by_row.numel() // max(1, by_row.shape[-1])), int(by_row.shape[-1])
        picked = _picked(total, classes, input.device)
        parts = [_rows_at(by_row, shape, picked, total)]
        kind = _target_kind(input, target, shape)
        if target is not None and kind == "index":
            parts += [_at(target.detach(), shape, picked, total), _count(target.detach(), ignore_index)]
        elif target is not None and kind == "probability":
            parts.append(_rows_at(_classes_last(target, class_dim), shape, picked, total))
        last = _of_result(result, looks_for_nan)
        fetched = fetch([*parts, *last])
        number = float(fetched.pop()) if last else None
        if result is not None and result.numel() == 1:
            return _assemble(fetched, kind, total, target, number)
        return replace(_assemble(fetched, kind, total, target, None), has_nan=bool(number))


def _of_result(result: Tensor | None, looks_for_nan: bool) -> list[Tensor]:
    """The loss, where it is one number; of several, if asked, whether one is NaN."""
    if result is None:
        return []
    if result.numel() == 1:
        return [result.detach()]
    return [result.detach().isnan().any()] if looks_for_nan else []


def fetch(parts: list[Tensor]) -> list[Tensor]:
    """The tensors on the CPU; from an accelerator in one transfer, as float64."""
    if any(part.device.type != "cpu" for part in parts):
        return _in_one_transfer(parts)
    return parts


def _in_one_transfer(parts: list[Tensor]) -> list[Tensor]:
    joined = torch.cat([part.reshape(-1).to(torch.float64) for part in parts]).cpu()
    pieces: list[Tensor] = list(torch.split(joined, [part.numel() for part in parts]))  # pyright: ignore[reportUnknownArgumentType]
    return [piece.reshape(part.shape) for piece, part in zip(pieces, parts, strict=True)]


def _classes_last(values: Tensor, class_dim: int) -> Tensor:
    return values.detach() if class_dim == values.dim() - 1 else values.detach().movedim(class_dim, -1)


def _picked(total: int, classes: int, device: torch.device) -> Tensor | None:
    """Row numbers, evenly spaced from the first to the last; None: all rows."""
    most = max(FEWEST_ROWS, min(MOST_ROWS, MOST_LOGITS // max(1, classes)))
    if total <= most:
        return None
    return torch.linspace(0, total - 1, most, dtype=torch.float64, device=device).round().to(torch.int64)


def _at(values: Tensor, shape: tuple[int, ...], picked: Tensor | None, total: int) -> Tensor:
    """The entries of a tensor that begins with the row shape, by row number, without copying the rest."""
    if picked is None:
        return values.reshape(total, *values.shape[len(shape) :])
    if len(shape) <= 1:
        return values.reshape(total, *values.shape[len(shape) :])[picked]
    return values[torch.unravel_index(picked, shape)]


def _rows_at(values: Tensor, shape: tuple[int, ...], picked: Tensor | None, total: int) -> Tensor:
    rows = _at(values, shape, picked, total)
    return rows if rows.dtype == torch.float64 else rows.to(torch.float32)


def _target_kind(input: Tensor, target: Tensor | None, shape: tuple[int, ...]) -> str:
    if target is None:
        return "none"
    if target.is_floating_point():
        return "probability" if target.shape == input.shape else "none"
    return "index" if tuple(target.shape) == shape and target.dtype != torch.bool else "none"


def _count(target: Tensor, ignore_index: int) -> Tensor:
    """(looked at, valid, low, high) of the targets, on their device."""
    flat = target.reshape(-1) if target.is_contiguous() or target.numel() <= MOST_TARGETS else target.flatten()[:0]
    if flat.numel() > MOST_TARGETS:
        flat = flat[:: -(-flat.numel() // MOST_TARGETS)]
    looked = flat.numel()
    if looked <= FEW_TARGETS and flat.device.type == "cpu":
        labels = [label for label in cast("list[int]", flat.tolist()) if label != ignore_index]
        return torch.tensor([looked, len(labels), min(labels, default=0), max(labels, default=0)])
    flat = flat.to(torch.int64)
    is_valid = flat != ignore_index
    info = torch.iinfo(torch.int64)
    low = torch.where(is_valid, flat, info.max).amin()
    high = torch.where(is_valid, flat, info.min).amax()
    return torch.stack([torch.tensor(looked, device=flat.device), is_valid.sum(), low, high])


def _assemble(parts: list[Tensor], kind: str, total: int, target: Tensor | None, loss: float | None) -> Sample:
    rows = parts[0]
    is_whole = rows.shape[0] == total
    if kind == "none":
        return Sample(rows, None, None, is_whole, loss)
    if kind == "probability":
        return Sample(rows, parts[1], None, is_whole, loss)
    looked, valid, low, high = (int(number) for number in cast("list[float]", parts[2].tolist()))
    is_exact = target is not None and looked == target.numel()
    counted = Counted(looked, valid, low, high, is_exact) if looked else None
    return Sample(rows, parts[1].to(torch.int64), counted, is_whole, loss)


def as_numbers(*values: Any) -> list[float]:
    """Numbers of 0-d tensors, in one transfer."""
    return [float(part) for part in fetch([torch.as_tensor(value) for value in values])]
