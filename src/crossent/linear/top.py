"""The most probable classes of each row and their log-probabilities, while a chunk's logits are there."""

from __future__ import annotations

import torch
from torch import Tensor

from crossent import composite
from crossent.backends.protocol import RowProblem
from crossent.stats import RowStats


def top_classes(problem: RowProblem, numbers: RowStats, count: int) -> tuple[Tensor, ...]:
    """(log-probabilities, classes), each (n, D, count), the most probable first; () for count 0.

    Rows that are not read hold 0 and -1.
    """
    if not count:
        return ()
    plain = problem.softcap is None and not isinstance(problem.logit_scale, Tensor) and problem.logit_scale == 1.0
    z = problem.logits if plain else _mapped(problem)
    values, classes = z.topk(count, dim=1)
    log_probs = (values.to(problem.compute_dtype) - numbers.max[:, None]) - numbers.log_sum[:, None]
    if problem.is_index:
        read = (problem.target != problem.skip)[:, None]
        log_probs, classes = torch.where(read, log_probs, 0.0), torch.where(read, classes, -1)
    return log_probs.movedim(1, 2).contiguous(), classes.movedim(1, 2).contiguous()


def _mapped(problem: RowProblem) -> Tensor:
    scale = composite.as_scale(problem.logit_scale, problem.logits)
    return composite.map_logits(problem.logits, scale, problem.softcap or 0.0, 1)
