"""``doctor.batch``: the labels of a language model's batch. ``doctor.accumulation``: a mean of means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from crossent.doctor import examine, given, place
from crossent.doctor.moments import Accumulation, Batch
from crossent.doctor.report import Report


def batch(
    batch: Mapping[str, Any],
    tokenizer: Any = None,
    *,
    logits: Tensor | None = None,
    model_shifts: bool = True,
    ignore_index: int = -100,
) -> Report:
    """What is wrong with the labels of a batch.

    Args:
        batch: ``input_ids`` and ``labels`` (B, T); also read where present: ``attention_mask``, ``position_ids``,
            ``prompt_lengths`` (B,), ``prompt_mask`` (True on the prompt), ``completion_mask`` (True on the answer).
        tokenizer: anything with ``eos_token_id``, ``pad_token_id``, ``chat_template`` and a length, as far as present.
        logits: (B, T, V), to see how much probability lies beyond the tokenizer.
        model_shifts: whether the model shifts the labels itself, as those of Hugging Face do.

    Example:
        >>> import torch, crossent
        >>> ids = torch.arange(32).reshape(2, 16)
        >>> shifted = torch.cat([ids[:, 1:], torch.full((2, 1), -100)], 1)
        >>> crossent.doctor.batch({"input_ids": ids, "labels": shifted}).codes
        ['XEN602']
    """
    where = place.here()
    batch = given.mapping("batch", batch, "a mapping with input_ids and labels, as a collator makes it")
    facts = Batch(
        input_ids=_tensor(batch, "input_ids"),
        labels=_tensor(batch, "labels"),
        attention_mask=_tensor(batch, "attention_mask"),
        position_ids=_tensor(batch, "position_ids"),
        prompt_mask=_prompt_mask(batch),
        logits=logits,
        ignore_index=ignore_index,
        model_shifts=model_shifts,
        eos=_number(tokenizer, "eos_token_id"),
        pad=_number(tokenizer, "pad_token_id"),
        vocabulary=len(tokenizer) if hasattr(tokenizer, "__len__") else None,
        has_chat_template=bool(getattr(tokenizer, "chat_template", None)),
    )
    limits = [f"{where}: {reason}" for reason in _not_compared(facts)]
    findings, problems = examine.moment("batch", facts, where, "batch")
    return Report(findings, limits + problems, "one batch")


def _not_compared(facts: Batch) -> Iterator[str]:
    ids, labels = facts.input_ids, facts.labels
    if labels is None:
        yield "the batch has no labels"
    elif ids is None:
        yield "the batch has no input_ids"
    elif ids.shape != labels.shape:
        yield f"input_ids {tuple(ids.shape)} and labels {tuple(labels.shape)} differ in shape"


def _tensor(batch: Mapping[str, Any], name: str) -> Tensor | None:
    value = batch.get(name)
    if value is None:
        return None
    return torch.as_tensor(value).detach().cpu()


def _prompt_mask(batch: Mapping[str, Any]) -> Tensor | None:
    mask, lengths, completion = (_tensor(batch, name) for name in ("prompt_mask", "prompt_lengths", "completion_mask"))
    labels = _tensor(batch, "labels")
    if mask is not None:
        return mask.bool()
    if completion is not None:
        return ~completion.bool()
    if lengths is None or labels is None or labels.dim() != 2:
        return None
    return torch.arange(labels.shape[1]) < lengths.reshape(-1, 1)


def _number(tokenizer: Any, name: str) -> int | None:
    value = getattr(tokenizer, name, None)
    return value if isinstance(value, int) else None


def accumulation(losses: Sequence[float | Tensor], counts: Sequence[float | Tensor]) -> Report:
    """Whether averaging the means of these batches differs from the mean over all their targets.

    Args:
        losses: the mean loss of each micro-batch (or of each batch of an evaluation).
        counts: how many valid targets each stands for.

    Example:
        >>> import crossent
        >>> crossent.doctor.accumulation([2.9, 1.4], [12, 480]).codes
        ['XEN307']
    """
    means, numbers = _floats("losses", losses), _floats("counts", counts)
    if len(means) != len(numbers) or not means:
        raise ValueError(
            f"accumulation() takes as many losses as counts, and some: got {len(means)} and {len(numbers)}"
        )
    if min(numbers) <= 0:
        raise ValueError("accumulation() takes positive counts: a batch without targets has no mean")
    where = place.here()
    findings, limits = examine.moment("accumulation", Accumulation(means, numbers), where, "accumulation")
    return Report(findings, limits, f"{len(means)} batches")


def _floats(option: str, values: Any) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise given.unfit(option, values, "one number of each batch") from None
