"""The public functions of a linear head."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossent import internals
from crossent.linear import call
from crossent.linear.call import Request
from crossent.linear.candidates import candidate_scores
from crossent.linear.head import LinearTensors
from crossent.linear.plan import LinearPlan
from crossent.options import LossOptions

__all__ = [
    "LinearCrossEntropyStats",
    "linear_cross_entropy",
    "linear_cross_entropy_with_stats",
    "linear_log_prob",
]


class LinearCrossEntropyStats(NamedTuple):
    """What :func:`linear_cross_entropy_with_stats` returns.

    All fields but ``loss`` and the last two have the shape of an index target; floating ones are float32
    (float64 for float64). Ignored rows hold 0, False or -1.

    Attributes:
        loss: what :func:`linear_cross_entropy` returns.
        nll, logsumexp, entropy, z_loss, predicted, correct, rank: as in :class:`crossent.CrossEntropyStats`.
        top_log_probs: ``(..., top_k)`` log-probabilities, the largest first; no gradient; None without ``top_k``.
        top_classes: int64, the classes of ``top_log_probs``.
    """

    loss: Tensor
    nll: Tensor
    logsumexp: Tensor
    entropy: Tensor
    z_loss: Tensor
    predicted: Tensor
    correct: Tensor
    rank: Tensor
    top_log_probs: Tensor | None = None
    top_classes: Tensor | None = None


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    sample_weight: Tensor | None = None,
    denominator: float | Tensor | None = None,
    logit_scale: float | Tensor | None = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    out_dtype: torch.dtype | None = None,
    if_all_ignored: str = "nan",
    shift: int | None = None,
    valid_rows: int | None = None,
    memory_budget: int | None = None,
    filter_eps: float | str | None = None,
    backend: str | None = None,
) -> Tensor:
    r"""Cross entropy of ``input @ linear_weight.T + linear_bias`` without making all of these logits.

    For row i with hidden state h_i, ``z_i = softcap * tanh(logit_scale * (W h_i + b) / softcap)`` and the row
    loss, the reductions and every option are those of :func:`crossent.cross_entropy`. The first nine
    arguments, their defaults, errors and exception types are those of
    ``torch.nn.functional.linear_cross_entropy`` (torch 2.13; on older torch the function is here all the same).

    Args:
        input: hidden states, ``(H)`` or ``(N, H)``; float16, bfloat16, float32 or float64. ``(..., T, H)`` only
            together with ``shift``.
        linear_weight: ``(C, H)``, or ``(C, d1, ..., dK, H)`` for K predictions per row; the input's dtype.
        target: class indices, int64, ``()``, ``(N)`` or ``(N, d1, ..., dK)``; or probabilities of the logits'
            shape, which may require a gradient.
        linear_bias: ``(C)`` or ``(C, d1, ..., dK)``.
        weight: one weight per class, ``(C)``.
        reduction, label_smoothing: as in :func:`crossent.cross_entropy`.
        ignore_index: None is -100 for class indices. Ignored rows cost nothing on the CPU, where they are left
            out of every matrix product; elsewhere that needs ``valid_rows`` or ``LinearPlan(counted=True)``.
        options: a :class:`crossent.LinearPlan`, or torch's ``LinearCrossEntropyOptions``, of which
            ``batch_chunk_size`` and ``acc_dtype`` are honoured and the rest is accepted.
        sample_weight, denominator, logit_scale, softcap, z_loss, out_dtype, if_all_ignored, backend: as in
            :func:`crossent.cross_entropy`. Per-position weights and denominators given here, not multiplied
            on afterwards, need no second pass over the logits.
        shift: number of positions by which the target is ahead of the hidden states that predict it; makes
            ``(..., T, H)`` inputs with ``(..., T)`` targets legal (0: already aligned). With ``shift=k`` the
            hidden state at t - k predicts target t; the last k positions of each sequence are not read. ``(N, H)``
            is one sequence: flattened ``(B * T, H)`` would let the end of one text predict the start of the next.
        valid_rows: a promise that at most so many rows have a target that is not ignored, e.g. the number of
            answer tokens that the data loader has counted. A GPU then computes so many rows and no more, without
            asking the device how many there are. On the CPU a broken promise is refused; elsewhere it makes the
            loss NaN.
        memory_budget: bytes that the call may allocate besides its inputs, its result and the returned
            gradients. None: see Memory.
        filter_eps: leave out of the gradient's products every class whose softmax is below this number in all rows of
            a chunk. "auto" is 1/32 of the spacing of numbers at 1 (bfloat16: 2.4e-4; float32: 3.7e-9, which is next to
            nothing). Seldom pays on a CPU: ``examples/language_model`` (8000 classes, loss 4.4, float32) took 1.25
            times as long with 1e-4, which skipped 22% of the blocks, and 0.87 times with 1e-3, which skipped 81% and
            moved the gradients by 3%. See Numerics for the bound. None: exact gradients.

    Returns:
        0-d for mean, sum and unbatched input, else the shape of an index target. The input's dtype
        (promoted with a probability target's; float32 under autocast; ``out_dtype`` if given).

    Raises:
        Exactly what torch raises, with lines that say what to write instead (XEN001 to XEN020, XEN050 to
        XEN053; XEN058 for a module in place of its weight); ValueError XEN030 to XEN036 for crossent's options,
        XEN054 for a budget below the least possible, XEN056 for sequences that do not fit, XEN057 for a broken
        ``valid_rows``; TypeError XEN055 for unknown ``options``.

    Numerics:
        logits are rounded to the dtype of the product, as a plain head rounds them; from there arithmetic is
        float32 (float64 for float64). A 16-bit weight's gradient is summed over chunks in float32 and
        rounded once; on the CPU the targets' part of it never was in 16 bits (1.0-1.25 times the error of the
        true gradient rounded once). Bit-identical from run to run; another chunk size changes the order of float32 sums
        only. With ``filter_eps`` the loss is exact, and so is the gradient of the bias; elements of the logits'
        gradient below ``filter_eps * u`` are dropped, u the least upstream gradient of a row that has one, so the
        error of d input_i is at most ``filter_eps * u * sum_c |W_c|`` over dropped classes, that of d weight_c
        ``filter_eps * u * sum_i |input_i|`` over rows where c is dropped (plans with slabs of classes drop none).
        Double backward, jvp, vmap, ``torch.func`` and ``torch.compile`` run a composite of ordinary operations:
        exact, at the memory of the logits, except that a double backward is chunked.

    Memory:
        ``rows * C * itemsize`` for the chunk (512 rows, fewer where they took more than 128 MiB, at least 256),
        96 bytes per row, and for 16-bit weights ``4 * C * H`` for the gradient's float32 sum; the
        gradients themselves are made in the forward pass and wait for the backward. See
        ``crossent/linear/plan.py`` for the model that ``memory_budget`` is spent by; a budget below 32 MB cannot hold
        what the CPU's matrix products take for themselves once in a process, up to 8 MB.

    Example:
        >>> import torch, crossent
        >>> hidden, head = torch.eye(3)[:2], torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> crossent.linear_cross_entropy(hidden, head, torch.tensor([0, 1]))
        tensor(0.2201)
        >>> tokens = torch.tensor([[0, 1, 1]])  # (B, T); position t predicts token t + 1
        >>> crossent.linear_cross_entropy(torch.eye(3)[None], head, tokens, shift=1)
        tensor(1.2201)

    Source: torch/nn/functional.py (semantics mirrored); chunking as in arXiv:2410.10989, section 3.2.
    """
    tensors = LinearTensors(
        input, linear_weight, target, linear_bias, weight, sample_weight, denominator, logit_scale
    )  # fmt: skip
    request = request_of(
        options, memory_budget, shift, ignore_index, valid_rows=valid_rows, filter_eps=filter_eps,
        reduction=reduction, label_smoothing=label_smoothing, softcap=softcap, z_loss=z_loss, out_dtype=out_dtype,
        if_all_ignored=if_all_ignored, backend=backend,
    )  # fmt: skip
    return call.loss(tensors, request)[0]


def linear_cross_entropy_with_stats(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    sample_weight: Tensor | None = None,
    denominator: float | Tensor | None = None,
    logit_scale: float | Tensor | None = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    out_dtype: torch.dtype | None = None,
    if_all_ignored: str = "nan",
    shift: int | None = None,
    valid_rows: int | None = None,
    memory_budget: int | None = None,
    filter_eps: float | str | None = None,
    backend: str | None = None,
    top_k: int = 0,
) -> LinearCrossEntropyStats:
    r"""The loss of :func:`linear_cross_entropy` with what else one pass over the logits can tell.

    Args:
        top_k: also return the log-probabilities of the ``top_k`` most probable classes of each row, and which they are.
        Everything else as in :func:`linear_cross_entropy`.

    Returns:
        :class:`LinearCrossEntropyStats`.

    Raises:
        As :func:`linear_cross_entropy`. A ``memory_budget`` must hold one whole row of logits.

    Numerics:
        as :func:`crossent.cross_entropy_with_stats`.

    Memory:
        as :func:`linear_cross_entropy`. Gradients are made in the forward pass for the case that only ``loss``
        is differentiated (3 matrix products); where another field receives a gradient they are made again
        (4, or 6 unless ``options=LinearPlan(gradients="recompute")`` says so beforehand).

    Example:
        >>> import torch, crossent
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> stats = crossent.linear_cross_entropy_with_stats(hidden, head, torch.tensor([0, 2]), top_k=1)
        >>> stats.correct, stats.rank, stats.top_classes
        (tensor([ True, False]), tensor([0, 1]), tensor([[0],
                [1]]))

    Source: this project; ``stats.py`` has the formulas.
    """
    tensors = LinearTensors(
        input, linear_weight, target, linear_bias, weight, sample_weight, denominator, logit_scale
    )  # fmt: skip
    request = request_of(
        options, memory_budget, shift, ignore_index, valid_rows=valid_rows, filter_eps=filter_eps,
        readouts=True, top_k=top_k, shown=("linear_cross_entropy_with_stats", "target"),
        reduction=reduction, label_smoothing=label_smoothing, softcap=softcap, z_loss=z_loss, out_dtype=out_dtype,
        if_all_ignored=if_all_ignored, backend=backend,
    )  # fmt: skip
    return LinearCrossEntropyStats(*call.loss(tensors, request))


def linear_log_prob(
    input: Tensor,
    linear_weight: Tensor,
    tokens: Tensor,
    *,
    linear_bias: Tensor | None = None,
    ignore_index: int | None = None,
    options: Any = None,
    logit_scale: float | Tensor | None = None,
    softcap: float | None = None,
    shift: int | None = None,
    memory_budget: int | None = None,
    backend: str | None = None,
) -> Tensor:
    r"""Log-probability of given tokens under a linear head: ``log softmax(z_i)_c`` without the other logits.

    For reinforcement learning (one token per position) and distillation (K candidates per position).

    Args:
        input: ``(N, H)``, or ``(..., T, H)`` with ``shift``.
        linear_weight, linear_bias: the head, ``(C, H)`` and ``(C)``.
        tokens: class indices, int64: the input's shape without H, or with K in its place.
        ignore_index: tokens with this value are not read and give 0; None is -100.
        options, logit_scale, softcap, shift, memory_budget, backend: as in :func:`linear_cross_entropy`.

    Returns:
        The shape of ``tokens``, float32 (float64 for float64). Differentiable in input, head and scale, with
        the upstream gradient of every position.

    Raises:
        As :func:`linear_cross_entropy`.

    Numerics:
        one token: log_sum and z - max apart, as in the loss. Candidates: the most-indexed one that way, the
        others by differences of logits that are dot products in float32.

    Memory:
        as :func:`linear_cross_entropy` with ``reduction="none"``: 4 matrix products. K candidates add their
        rows of the head, ``N * K * H`` numbers in float32.

    Example:
        >>> import torch, crossent
        >>> hidden, head = torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> crossent.linear_log_prob(hidden, head, torch.tensor([0, 1]))
        tensor([-0.2395, -0.5514])
        >>> crossent.linear_log_prob(hidden, head, torch.tensor([[0, 1], [1, 2]]))
        tensor([[-0.2395, -2.2395],
                [-0.5514, -1.5514]])

    Source: this project.
    """
    call.check_tensors(LinearTensors(input, linear_weight, tokens, linear_bias), "tokens")
    out = torch.float64 if input.dtype == torch.float64 else torch.float32
    options = LinearPlan(gradients="recompute") if options is None else options
    skip = -100 if ignore_index is None else ignore_index
    several = tokens.dim() == input.dim() and input.dim() > 1
    read = tokens != skip
    single = torch.where(read, tokens, -1).amax(-1) if several else tokens
    if several:
        single = torch.where(single < 0, skip, single)
    tensors = LinearTensors(input, linear_weight, single, linear_bias, logit_scale=logit_scale)
    request = request_of(
        options, memory_budget, shift, skip, reduction="none", softcap=softcap, out_dtype=out, backend=backend,
        shown=("linear_log_prob", "tokens.amax(-1)" if several else "tokens"),
    )  # fmt: skip
    log_prob = -call.loss(tensors, request)[0]
    if not several:
        return log_prob
    both = torch.cat([single[..., None], tokens], -1)
    known = torch.where(both == skip, 0, both)
    scores = candidate_scores(input, linear_weight, linear_bias, known, logit_scale, softcap, shift or 0)
    return torch.where(read, log_prob[..., None] + (scores[..., 1:] - scores[..., :1]), 0.0)


def request_of(
    plan: Any,
    memory_budget: int | None,
    shift: int | None,
    ignore_index: int | None,
    *,
    valid_rows: int | None = None,
    filter_eps: float | str | None = None,
    readouts: bool = False,
    top_k: int = 0,
    shown: tuple[str, str] = (call.NAME, "target"),
    **values: Any,
) -> Request:
    """A call's options as its pipe takes them: the first five as they came, ``values`` by :class:`LossOptions`."""
    values["reduction"] = internals.deprecated_mean(values["reduction"])
    options = LossOptions(
        ignore_index=-100 if ignore_index is None else ignore_index,
        class_dim=None if shift is None else -1,
        shift=0 if shift is None else shift,
        **values,
    )
    return Request(
        options=options, ignore_index=ignore_index, plan=plan, memory_budget=memory_budget, readouts=readouts,
        top_k=top_k, valid_rows=valid_rows, filter_eps=filter_eps, sequences=shift is not None, shown=shown,
    )  # fmt: skip
