"""The logarithm of a softmax in two steps.

What
    ``log(softmax(z))``, with or without ``+ eps`` or a clamp, in place of ``log_softmax(z)``.
Why
    softmax underflows to 0 in float32 once a logit is more than 104 below the largest: the loss is inf and its
    gradient NaN. With ``+ 1e-8`` the loss is capped at 18.42 and the gradient falls to 0.17 at a gap of 20, where
    it should be 1, and to 0 by 80; a clamp at 1e-7 caps the loss at 16.12 and makes the gradient exactly 0 beyond.
Bad::

    loss = F.nll_loss(torch.log(F.softmax(model(x), dim=1)), y)  # XEN112

Good::

    loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)

How it is detected
    In the graph, a log whose input is a softmax (or a sigmoid), directly or through ``+ eps`` and clamps. For a
    loss written by hand the graph is looked at when ``backward()`` is called.
False positives
    Logarithms of mixtures (a mean of several softmaxes) are not reported. With a clamp or eps in a loss written by
    hand, as in ``torch.distributions``, it is a note.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html
"""

from __future__ import annotations

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.moments import Backward
from crossent.doctor.record import CallRecord

MESSAGE = "log({inner}(z)) in two steps{where}{guard}."
CONSEQUENCE = "{consequence}"
FIX = "use {replacement}(z), which never leaves the logarithm{caution}."

INNER = {"Softmax": ("softmax", "log_softmax"), "Sigmoid": ("sigmoid", "logsigmoid")}
GUARDS = ("Add", "Clamp", "ClampMin", "ClampMax")


def from_graph(record: CallRecord) -> Found | None:
    chain = record.chain
    return _look(chain.producer, " as the input of " + record.function) if chain.kind == "Log" else None


def from_backward(moment: Backward) -> Found | None:
    if moment.root.grad_fn is None:
        return None
    for log in graph.search(
        moment.root.grad_fn, frozenset({"Log", "NllLoss", "NllLoss2D", "Loss", "MkldnnLinear"}), 60
    ):
        found = _look(log, " in a loss written by hand") if log.kind == "Log" else None
        if found is not None:
            guarded = bool(found.evidence["guard"])
            return Found(found.evidence, "medium", "note" if guarded else None)
    return None


def _look(log: graph.Step | None, where: str) -> Found | None:
    before = graph.above(log)
    if before.kind not in INNER:
        return None
    if not before.is_exact and not before.has(*GUARDS):
        return None
    inner, replacement = INNER[before.kind]
    guarded = before.has(*GUARDS)
    consequence = (
        "the gradient vanishes once p falls below the added or clamped value (1e-8 caps the loss at 18.42)."
        if guarded
        else "-inf and NaN gradients once two logits differ by more than about 104 in float32 (11 in float16)."
    )
    evidence = {
        "inner": inner, "replacement": replacement, "where": where, "consequence": consequence,
        "guard": ", guarded by + eps or a clamp" if guarded else "",
        "caution": "; this changes the value where the guard acted" if guarded else "",
    }  # fmt: skip
    return Found(evidence)
