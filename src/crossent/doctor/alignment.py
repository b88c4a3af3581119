"""Which token a label names: the one at its own position, the next one, or the one after it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crossent.doctor.record import CallRecord, Embedded

ENOUGH = 16
SURE = 0.99
MOST_IDS = 1 << 17
OFFSETS = (0, 1, 2)


class Alignment(NamedTuple):
    """Share of the valid labels that equal the token at each offset."""

    agree: tuple[float, ...]
    labels: int  # how many are valid

    @property
    def best(self) -> int | None:
        """The one offset at which (nearly) all agree; None if there is none, or several."""
        sure = [offset for offset in OFFSETS if self.agree[offset] >= SURE]
        if len(sure) != 1:
            return None
        return sure[0]


def compare(ids: Tensor, labels: Tensor, ignore_index: int) -> Alignment | None:
    """``labels`` (B, T or less) against ``ids`` (B, T), column by column."""
    if ids.dim() != 2 or labels.dim() != 2 or ids.shape[0] != labels.shape[0] or labels.shape[1] > ids.shape[1]:
        return None
    rows = max(1, min(ids.shape[0], MOST_IDS // max(1, ids.shape[1])))
    with torch.no_grad():
        ids, labels = ids[:rows].detach().cpu(), labels[:rows].detach().cpu()
        length = labels.shape[1]
        counts: list[int] = []
        agree: list[float] = []
        for offset in OFFSETS:
            span = min(length, ids.shape[1] - offset)
            if span <= 0:
                return None
            ours = labels[:, :span]
            valid = ours != ignore_index
            counts.append(int(valid.sum()))
            same = int(((ours == ids[:, offset : offset + span]) & valid).sum())
            agree.append(same / counts[-1] if counts[-1] else 0.0)
    return Alignment(tuple(agree), counts[0]) if min(counts) >= ENOUGH else None


def of(record: CallRecord) -> Alignment | None:
    """The labels of a loss against the ids that were embedded before it; None where they cannot be matched."""
    target = record.target
    if target is None or target.is_floating_point() or record.blind is not None or not record.embedded:
        return None
    matches = [found for embedded in record.embedded if (found := _match(embedded, record)) is not None]
    bests = {found.best for found in matches}
    if 1 in bests:  # teacher forcing somewhere: a decoder, beside an encoder that reads the same text
        return None
    return next((found for found in matches if found.best is not None), None)


def _match(embedded: Embedded, record: CallRecord) -> Alignment | None:
    assert record.target is not None
    ids = embedded.ids
    if ids.dim() != 2 or embedded.rows != record.classes or ids.shape[0] == 0:
        return None
    if record.target.numel() % ids.shape[0]:
        return None
    length = record.target.numel() // ids.shape[0]
    if not max(1, ids.shape[1] - 2) <= length <= ids.shape[1]:
        return None
    labels = record.target.reshape(ids.shape[0], length)[:, record.shift :]
    return compare(ids[:, _first_position(record, ids.shape[1]) :], labels, record.ignore_index)


def _first_position(record: CallRecord, length: int) -> int:
    """How many positions were cut off at the front of the logits: ``logits[:, 1:]``."""
    for step in record.chain.steps:
        if step.kind == "Slice" and step.number("dim") == 1 and (step.sizes() or ())[1:2] == (length,):
            return (step.number("start") or 0) % length
    return 0


def padded(record: CallRecord) -> tuple[int, float, int] | None:
    """(how many, share of loss terms, padding id) of labels that are the embedding's padding at the end of rows."""
    target = record.target
    if target is None or target.is_floating_point() or record.blind is not None:
        return None
    for embedded in record.embedded:
        padding, ids = embedded.padding_idx, embedded.ids
        if padding is None or padding < 0 or padding == record.ignore_index or ids.dim() != 2:
            continue
        if embedded.rows != record.classes or _match(embedded, record) is None:
            continue
        labels = target.detach().reshape(ids.shape[0], -1)[:, record.shift :]
        count = int(((labels == padding).flip(1).to(torch.int64).cumprod(1)).sum())
        terms = int((labels != record.ignore_index).sum())
        if count and terms:
            return count, count / terms, padding
    return None
