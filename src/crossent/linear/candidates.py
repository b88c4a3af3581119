"""Logits of a few given classes per position, as differentiable operations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossent import composite
from crossent.backends.protocol import compute_dtype


def candidate_scores(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    classes: Tensor,
    logit_scale: float | Tensor | None,
    softcap: float | None,
    shift: int,
) -> Tensor:
    """(..., K) mapped logits of ``classes`` (..., K), in float32 or better; 0 where nothing predicts (shift)."""
    wide = compute_dtype(input.dtype)
    if shift:
        classes = classes.narrow(-2, min(shift, classes.shape[-2]), max(0, classes.shape[-2] - shift))
        input = input.narrow(-2, 0, classes.shape[-2])
    rows = F.embedding(classes, linear_weight).to(wide)
    scores = torch.matmul(rows, input.to(wide).unsqueeze(-1)).squeeze(-1)
    if linear_bias is not None:
        scores = scores + linear_bias.to(wide)[classes]
    scale = composite.as_scale(logit_scale, input)
    if scale is not None and scale.dim() and shift:
        scale = scale.narrow(-1, scale.shape[-1] - classes.shape[-2], classes.shape[-2])
    scores = composite.map_logits(scores, scale, float(softcap or 0.0), scores.dim() - 1)
    return F.pad(scores, (0, 0, shift, 0)) if shift else scores
