"""One of torch's own samples: crossent's answer against torch's, given that of float64 arithmetic, on any device."""

from __future__ import annotations

from typing import Any

import torch

from serving import expected_server, serving
from torch_samples import Sample

# How many roundings of the largest element an answer may be off beside torch's own error. The arithmetic of 16-bit
# inputs is float32, so one; in float32 and float64 each of the two computations rounds a few times.
ROUNDINGS = {torch.float64: 4096, torch.float32: 4, torch.bfloat16: 1, torch.float16: 1}


def check_close(name: str, ours: torch.Tensor, theirs: torch.Tensor, truth: torch.Tensor) -> None:
    """Ours against torch's, given the result of float64 arithmetic on the same inputs."""
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), name
    if ours.is_complex():
        ours, theirs, truth = (torch.view_as_real(tensor) for tensor in (ours, theirs, truth))
    wide, other = ours.to(torch.float64), theirs.to(torch.float64)
    finite = truth.isfinite()
    assert torch.equal(wide[~finite].nan_to_num(7.0), other[~finite].nan_to_num(7.0)), name
    wide, other, truth = wide[finite], other[finite], truth[finite]
    if not truth.numel():
        return
    allowed = (other - truth).abs().max() + ROUNDINGS[ours.dtype] * torch.finfo(ours.dtype).eps * truth.abs().max()
    if ours.dtype in (torch.float32, torch.float64):  # softmax - target cancels: its error is that of the number 1
        allowed = allowed.clamp(min=ROUNDINGS[ours.dtype] * torch.finfo(ours.dtype).eps)
    assert (wide - truth).abs().max() <= allowed, (name, float((wide - truth).abs().max()), float(allowed))


def differentiate(result: Any, leaves: list[torch.Tensor], upstream: torch.Tensor) -> list[torch.Tensor]:
    if not leaves:
        return []
    return list(torch.autograd.grad(result, leaves, upstream.to(result.dtype), allow_unused=False))


def second_derivatives(sample: Sample, backend: str | None, *, ours: bool) -> list[torch.Tensor]:
    """d/d(leaves, upstream) of a random projection of the gradients."""
    generator = torch.Generator().manual_seed(3)
    result, leaves = sample.run(ours=ours, backend=backend)
    upstream = torch.randn(result.shape, generator=generator, dtype=result.dtype).to(result.device).requires_grad_()
    gradients = torch.autograd.grad(result, leaves, upstream, create_graph=True)
    weights = (torch.randn(g.shape, generator=generator, dtype=g.dtype).to(g.device) for g in gradients)
    projection = sum((g * weight).sum() for g, weight in zip(gradients, weights, strict=True))
    answers = torch.autograd.grad(projection, [*leaves, upstream], allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(answers, [*leaves, upstream], strict=True)]


def check_sample(sample: Sample, dtype: torch.dtype, backend: str | None) -> None:
    """Value, gradients and second derivatives of one sample, and who served it."""
    with serving() as calls:
        ours, leaves = sample.run(ours=True, backend=backend)
    assert [call.by for call in calls] == [expected_server(backend, sample.kwargs.get("dtype", dtype))], calls
    theirs, their_leaves = sample.run(ours=False)
    truth, true_leaves = sample.run(ours=False, wide=True)
    check_close("value", ours.detach(), theirs.detach(), truth.detach().to(torch.float64))
    generator = torch.Generator().manual_seed(2)
    upstream = torch.randn(theirs.shape, generator=generator, dtype=torch.float64).to(theirs)
    gradients = [
        differentiate(result, inputs, upstream)
        for result, inputs in ((ours, leaves), (theirs, their_leaves), (truth, true_leaves))
    ]
    for index, (mine, torchs, true) in enumerate(zip(*gradients, strict=True)):
        assert mine.dtype == leaves[index].dtype
        check_close(f"gradient {index}", mine, torchs, true)
    if dtype == torch.float64 and leaves:
        pairs = zip(
            second_derivatives(sample, backend, ours=True), second_derivatives(sample, backend, ours=False), strict=True
        )
        for index, (mine, torchs) in enumerate(pairs):
            check_close(f"second derivative {index}", mine, torchs, torchs)
