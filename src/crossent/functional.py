"""The public losses. Each takes torch's arguments as torch does, then crossent's, keyword-only.

With ``z = softcap * tanh(logit_scale * input / softcap)``::

    row_i = sample_weight_i * (cross entropy of row i as torch defines it + z_loss * logsumexp(z_i)^2)
    none: row_i      sum: sum_i row_i      mean: sum_i row_i / (denominator, or sum_i sample_weight_i * share_i)

and 0 on ignored rows, which are never read; share_i is torch's own share of the row in its denominator
(the class weight of its label; 1 for probability targets).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crossent import call, internals, scripted, small
from crossent.options import LossOptions, is_zero
from crossent.problem import LossTensors

__all__ = ["CrossEntropyStats", "cross_entropy", "cross_entropy_with_stats", "log_softmax", "nll_loss"]


class CrossEntropyStats(NamedTuple):
    """What :func:`cross_entropy_with_stats` returns.

    All fields but ``loss`` have the shape of an index target; floating ones are float32 (float64 for
    float64 logits) and differentiable. Ignored rows hold 0, False or -1. z are the logits, scaled and capped. Where the
    softmax is not a number (a z is NaN or +inf, or all are -inf) neither are these, but that logsumexp of -inf is -inf.

    Attributes:
        loss: what :func:`cross_entropy` returns.
        nll: logsumexp(z) - z_y, or -sum_c p_c log_softmax(z)_c: no class weights, no smoothing.
        logsumexp: log sum_c exp(z_c).
        entropy: of softmax(z), in nats.
        z_loss: the number ``z_loss`` times logsumexp^2.
        predicted: int64, the class with the largest z, the lowest index among equals.
        correct: bool, whether that is the target (the most probable class of a probability target).
        rank: int64, how many classes have a larger z than the target's: 0 is best; -1 for probability targets.
    """

    loss: Tensor
    nll: Tensor
    logsumexp: Tensor
    entropy: Tensor
    z_loss: Tensor
    predicted: Tensor
    correct: Tensor
    rank: Tensor


@scripted.compiles_as(scripted.cross_entropy)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    sample_weight: Tensor | None = None,
    denominator: float | Tensor | None = None,
    logit_scale: float | Tensor | None = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    out_dtype: torch.dtype | None = None,
    if_all_ignored: str = "nan",
    class_dim: int | None = None,
    shift: int = 0,
    inplace: bool = False,
    backend: str | None = None,
) -> Tensor:
    r"""Cross entropy of logits against class indices or class probabilities: torch's, and more.

    For row i with label y, class weights w, smoothing e, V classes and logits
    ``z = softcap * tanh(logit_scale * input / softcap)``, which is ``input`` unless a scale or a cap is given::

        CE_i = -(1 - e) w_y log_softmax(z_i)_y - (e / V) sum_c w_c log_softmax(z_i)_c          index target
        CE_i = -sum_c w_c ((1 - e) p_ic + e / V) log_softmax(z_i)_c                       probability target

    The first eight arguments, their defaults, errors and warnings are those of
    :func:`torch.nn.functional.cross_entropy`. With ``share_i`` = w_y (1 for probability targets) and 0 for ignored
    rows, the reductions are::

        none: row_i = sample_weight_i * (CE_i + z_loss * logsumexp(z_i)^2)
        sum:  sum_i row_i
        mean: sum_i row_i / (denominator, or sum_i sample_weight_i * share_i)

    Args:
        input: logits, ``(C)``, ``(N, C)`` or ``(N, C, d1, ..., dK)``; float16, bfloat16, float32 or float64;
            any strides. Not modified, unless ``inplace`` allows it.
        target: class indices, int64 (uint8 for 1-D and 2-D inputs), the input's shape without its class
            dimension; or probabilities of the input's shape, which may require a gradient.
        weight: one weight per class, ``(C)``, the input's dtype.
        size_average, reduce: deprecated, as in torch.
        ignore_index: rows with this label are not read: loss 0, gradient exactly 0, not counted.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: e in [0, 1].
        sample_weight: one weight per row, shape of an index target; differentiable. 0 does not mask
            (0 * NaN is NaN): use ``ignore_index`` to leave rows out.
        denominator: number or one-element tensor a mean divides by instead of the sum of weights, e.g. the
            global token count under data parallelism; stays on its device; not differentiable.
        logit_scale: inverse temperature; number, 0-d tensor or one per row; differentiable.
        softcap: positive number; None: no cap. A -inf logit becomes -softcap: mask after it.
        z_loss: coefficient of logsumexp(z)^2 (PaLM, arXiv:2204.02311, section 5); not class-weighted.
        out_dtype: dtype of the result, e.g. float32 for bfloat16 logits; gradients keep the input's dtype.
        if_all_ignored: what a mean over no counted row is: ``"nan"`` (torch) or ``"zero"``, a 0 that is
            connected to the graph. A zero sum of weights is NaN in both.
        class_dim: the dimension of the classes; None is torch's 1. ``-1`` takes ``(B, T, V)`` logits with
            ``(B, T)`` targets as they are, without a copy.
        shift: with ``class_dim``: target ``t`` is predicted by the logits at ``t - shift``. Results and
            per-row arguments stay aligned with the target; its first ``shift`` entries count as ignored. ``(N, V)``
            logits are one sequence: flattened ``(B * T, V)`` would let one text's end predict the next one's start.
        inplace: permission to write the gradient over the logits, which saves a tensor of their size. The
            logits are then spent: torch raises where another node had saved them, and a second backward
            or ``create_graph`` raises. Taken in the forward pass of mean and sum where only the input needs a
            gradient (not for float16, whose gradient would underflow); elsewhere it changes nothing.
        backend: ``"reference"``, ``"cpu"`` or ``"gpu"`` runs that one or raises; None chooses.

    Returns:
        0-d for mean, sum and unbatched input, else the shape of an index target. The input's dtype
        (promoted with a probability target's; float32 under autocast; ``out_dtype`` if given).

    Raises:
        Exactly what torch raises, with lines that say what came, what is expected and what to write
        instead (codes XEN001 to XEN029); ValueError XEN030 to XEN036 for crossent's own options;
        RuntimeError XEN040 and XEN041 for a backend that was asked for and cannot run.

    Numerics:
        float32 arithmetic for 16-bit and float32 logits, float64 for float64, one rounding at the end.
        max and log-sum are kept apart, so a common offset of the logits costs no digits. Counts and
        denominators are never rounded to 16 bits (torch's are). Deterministic.

    Memory:
        a few numbers per row in the forward pass, and one tensor of the input's size for its gradient.

    Example:
        >>> import torch, crossent
        >>> logits = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 0.0]])
        >>> crossent.cross_entropy(logits, torch.tensor([0, 2]))
        tensor(0.8964)
        >>> crossent.cross_entropy(logits, torch.tensor([0, -100]), reduction="none")
        tensor([0.2413, 0.0000])

    Source: torch/nn/functional.py and aten/src/ATen/native/LossNLL.cpp (semantics mirrored).
    """
    if (
        backend is None and class_dim is None and sample_weight is None and denominator is None and logit_scale is None
        and softcap is None and is_zero(z_loss) and out_dtype is None and if_all_ignored == "nan" and is_zero(shift)
        and inplace is False and size_average is None and reduce is None and small.fits(input, target, ignore_index)
    ):  # fmt: skip
        return small.loss("cross_entropy", input, target, weight, ignore_index, reduction, label_smoothing)
    if size_average is not None or reduce is not None:
        reduction = internals.legacy_reduction(size_average, reduce)
    options = LossOptions(
        reduction=internals.deprecated_mean(reduction), ignore_index=ignore_index, label_smoothing=label_smoothing,
        softcap=softcap, z_loss=z_loss, out_dtype=out_dtype, if_all_ignored=if_all_ignored,
        class_dim=class_dim, shift=shift, inplace=inplace, backend=backend,
    )  # fmt: skip
    tensors = LossTensors(input, target, weight, sample_weight, denominator, logit_scale)
    return call.loss("cross_entropy", tensors, options)[0]


@scripted.compiles_as(scripted.nll_loss)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
    denominator: float | Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    if_all_ignored: str = "nan",
    class_dim: int | None = None,
    shift: int = 0,
    backend: str | None = None,
) -> Tensor:
    r"""Negative log-likelihood of labels under **log-probabilities** (not probabilities, not logits).

    ``row_i = -sample_weight_i * w_y * input_iy``; ``cross_entropy(z, y) == nll_loss(log_softmax(z, 1), y)``
    for index targets without label smoothing. Arguments, shapes, errors and reductions as in
    :func:`cross_entropy`; the first seven are those of :func:`torch.nn.functional.nll_loss`.

    Args:
        input: log-probabilities, ``(C)``, ``(N, C)`` or ``(N, C, d1, ..., dK)``.
        target: class indices; there are no probability targets.

    Returns:
        As :func:`cross_entropy`.

    Raises:
        As :func:`cross_entropy`.

    Numerics:
        sums and counts in float32 (float64 for float64), also for 16-bit inputs.

    Memory:
        the gradient, one tensor of the input's size, zero but at the labels.

    Example:
        >>> import torch, crossent
        >>> log_probs = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
        >>> crossent.nll_loss(log_probs, torch.tensor([0, 1]))
        tensor(0.4581)

    Source: torch/nn/functional.py and aten/src/ATen/native/LossNLL.cpp (semantics mirrored).
    """
    if (
        backend is None and class_dim is None and sample_weight is None and denominator is None and out_dtype is None
        and if_all_ignored == "nan" and is_zero(shift) and size_average is None and reduce is None
        and small.fits(input, target, ignore_index)
    ):  # fmt: skip
        return small.loss("nll_loss", input, target, weight, ignore_index, reduction)
    if size_average is not None or reduce is not None:
        reduction = internals.legacy_reduction(size_average, reduce)
    options = LossOptions(
        reduction=internals.deprecated_mean(reduction), ignore_index=ignore_index, out_dtype=out_dtype,
        if_all_ignored=if_all_ignored, class_dim=class_dim, shift=shift, backend=backend,
    )  # fmt: skip
    tensors = LossTensors(input, target, weight, sample_weight, denominator)
    return call.loss("nll_loss", tensors, options)[0]


@scripted.compiles_as(scripted.log_softmax)
def log_softmax(
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
    *,
    logit_scale: float | Tensor | None = None,
    softcap: float | None = None,
    backend: str | None = None,
) -> Tensor:
    r"""``log softmax(z)_c = z_c - max z - log sum_k exp(z_k - max z)`` along ``dim``.

    The first four arguments are those of :func:`torch.nn.functional.log_softmax`, with its warning when
    ``dim`` is left out.

    Args:
        input: logits of any shape.
        dim: the class dimension.
        dtype: dtype of the result. The arithmetic is float32 or better whatever it is, so 16-bit results
            are rounded once (torch rounds the input to ``dtype`` first).
        logit_scale, softcap, backend: as in :func:`cross_entropy`; a per-row scale has the input's shape
            without ``dim``.

    Returns:
        Contiguous, the input's shape, its dtype or ``dtype``.

    Raises:
        Exactly what torch raises; ValueError XEN030 and XEN034 for crossent's options.

    Numerics:
        as :func:`cross_entropy`. All -inf, any +inf or NaN make a row NaN, as in torch.

    Memory:
        the result, which is also what the backward keeps (and the logits where they are scaled or capped).

    Example:
        >>> import torch, crossent
        >>> crossent.log_softmax(torch.tensor([0.0, 0.0]), dim=0)
        tensor([-0.6931, -0.6931])

    Source: torch/nn/functional.py and aten/src/ATen/native/SoftMax.cpp (semantics mirrored).
    """
    if dim is None and isinstance(input, Tensor):
        dim = internals.softmax_dim("log_softmax", input.dim(), _stacklevel)
    return call.log_softmax(input, dim, dtype, logit_scale, LossOptions(softcap=softcap, backend=backend))


def cross_entropy_with_stats(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    sample_weight: Tensor | None = None,
    denominator: float | Tensor | None = None,
    logit_scale: float | Tensor | None = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    out_dtype: torch.dtype | None = None,
    if_all_ignored: str = "nan",
    class_dim: int | None = None,
    shift: int = 0,
    backend: str | None = None,
) -> CrossEntropyStats:
    r"""The loss of :func:`cross_entropy` with what else one pass over the logits can tell.

    Arguments as :func:`cross_entropy`. Every floating field is differentiable with its own upstream
    gradient; all of them together cost one gradient pass (two where class weights or smoothing make
    ``nll`` a different target than the loss).

    Returns:
        :class:`CrossEntropyStats`.

    Raises:
        As :func:`cross_entropy`.

    Numerics:
        entropy = log_sum - sum_c softmax_c (z_c - max), so it does not cancel at large offsets.

    Memory:
        as :func:`cross_entropy`, plus seven numbers per row.

    Example:
        >>> import torch, crossent
        >>> logits = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 0.0]])
        >>> stats = crossent.cross_entropy_with_stats(logits, torch.tensor([0, 2]))
        >>> stats.entropy, stats.correct, stats.rank
        (tensor([0.6216, 0.9753]), tensor([ True, False]), tensor([0, 1]))

    Source: this project; ``tilt`` in ``stats.py`` is the formula.
    """
    options = LossOptions(
        reduction=internals.deprecated_mean(reduction), ignore_index=ignore_index, label_smoothing=label_smoothing,
        softcap=softcap, z_loss=z_loss, out_dtype=out_dtype, if_all_ignored=if_all_ignored,
        class_dim=class_dim, shift=shift, backend=backend,
    )  # fmt: skip
    tensors = LossTensors(input, target, weight, sample_weight, denominator, logit_scale)
    return CrossEntropyStats(*call.loss("cross_entropy", tensors, options, readouts=True))
