"""An activation stands between the last layer and cross_entropy.

What
    ``relu``, ``gelu``, ``tanh`` or the like is applied to the logits.
Why
    After a relu, a class whose scores are all negative gets the logit 0 and no gradient: it cannot recover, and no
    class can be pushed below 0. After a tanh, ``|z| <= 1`` and the loss cannot fall below ``log(1 + (C - 1)
    e^-2)``: 0.797 for 10 classes.
Bad::

    loss = F.cross_entropy(F.relu(model(x)), y)  # XEN108

Good::

    loss = F.cross_entropy(model(x), y)

How it is detected
    The producer of the input is relu, relu6, gelu, silu, tanh or softplus, with nothing but views after it. Where
    the graph is opaque: at least 20 % of the sampled logits are exactly 0 and none is negative.
False positives
    ``cap * tanh(z / cap)`` is a soft cap and not reported: a scaling follows the tanh.
References
    A rule of UMLAUT (CHI 2021) for Keras is the same.
"""

from __future__ import annotations

import math

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the logits come from {act}: {zero:.0%} of them are exactly 0, the lowest is {low:.3g}, the highest {high:.3g}."
)
CONSEQUENCE = "{consequence}"
FIX = "remove the last activation: cross_entropy takes any real numbers."

ACTIVATIONS = {
    "Relu": "relu", "Hardtanh": "relu6 or hardtanh", "Gelu": "gelu", "Silu": "silu", "Tanh": "tanh",
    "Softplus": "softplus", "Threshold": "threshold",
}  # fmt: skip


def from_graph(record: CallRecord) -> Found | None:
    chain = record.chain
    if chain.kind not in ACTIVATIONS or not chain.is_exact:
        return None
    return _found(record, ACTIVATIONS[chain.kind], "high")


def from_values(record: CallRecord) -> Found | None:
    if not record.chain.opaque or not record.has_enough_values or record.low != 0:
        return None
    if not 0.2 <= _zeros(record) < 0.9:
        return None
    return _found(record, f"something like relu ({record.chain.opaque})", "medium")


def _zeros(record: CallRecord) -> float:
    return float((record.rows == 0).double().mean()) if record.rows.numel() else math.nan


def _found(record: CallRecord, act: str, confidence: str) -> Found:
    bounded = act in ("tanh", "relu6 or hardtanh")
    floor = math.log1p((record.classes - 1) * math.exp(-2.0))
    consequence = (
        f"with |z| <= 1 the loss cannot fall below {floor:.3f} for {record.classes} classes."
        if bounded and record.high <= 1
        else "logits held at 0 get no gradient, and no class can be pushed below the activation's lowest value."
    )
    evidence = {"act": act, "zero": _zeros(record), "low": record.low, "high": record.high, "consequence": consequence}
    return Found(evidence, confidence)
