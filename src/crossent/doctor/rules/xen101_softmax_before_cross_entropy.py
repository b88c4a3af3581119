"""cross_entropy gets probabilities where it expects logits.

What
    The output of a softmax goes into ``cross_entropy``, which applies log_softmax itself.
Why
    With inputs p in [0, 1] the most confident right answer scores ``log(1 + (C - 1)/e)``: 0.744 for 4 classes,
    1.461 for 10, 9.825 for 50,257. The loss stays above that floor, and the gradient passes a second softmax:
    measured on standard normal logits its norm is 0.37 of the right one for 2 classes, 0.11 for 10, 0.0014 for
    1,000. The loss at the start is log C all the same, so nothing looks wrong. In one reported case, taking the
    softmax out raised the accuracy from 90 % to 95 %.
Bad::

    probabilities = F.softmax(model(x), dim=1)
    loss = F.cross_entropy(probabilities, y)  # XEN101

Good::

    logits = model(x)
    loss = F.cross_entropy(logits, y)
    probabilities = logits.softmax(1)  # only to read them

How it is detected
    The producer of the input in the autograd graph is a softmax over the class dimension. Where there is no graph:
    at least 32 values, all in [0, 1], all sampled rows sum to 1 (tolerance 1e-5; 1e-2 in bfloat16, 2e-3 in
    float16).
False positives
    None known from the graph. Softmaxed *targets* are right and are not looked at. Raw logits of a linear layer lay
    all in [0, 1] in none of 20,000 batches of 4 x 10.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    https://github.com/shaoxiongji/federated-learning/issues/9
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "cross_entropy received probabilities: {how} ({numbers}). It applies log_softmax itself."
CONSEQUENCE = (
    "the lowest loss that can be reached with {classes} classes is {floor:.3f} in place of 0; gradients are {shrink}."
)
FIX = "pass the logits: drop the softmax before the loss and use softmax only to read probabilities."


def from_graph(record: CallRecord) -> Found | None:
    chain = record.chain
    if chain.kind != "Softmax" or chain.producer is None:
        return None
    dim = chain.producer.number("dim")
    if not chain.moves_dims and dim is not None and dim % record.input.dim() != record.class_dim:
        return None  # XEN107
    if chain.is_exact:
        return (
            None
            if record.knows_values and not record.sums_to_one
            else _found(record, "they come from a softmax", "high")
        )
    if record.knows_values and not record.in_unit_range:
        return None  # scaled after the softmax: some other construction
    return _found(record, "they come from a softmax, changed a little afterwards", "medium")


def from_values(record: CallRecord) -> Found | None:
    if not record.has_enough_values or record.classes < 2 or not record.sums_to_one:
        return None
    if bool((record.rows == record.rows.round()).all()):
        return None  # XEN110
    why = record.chain.opaque
    return _found(record, f"by their values ({why})" if why else "by their values", "high")


def _found(record: CallRecord, how: str, confidence: str) -> Found:
    known = record.knows_values
    return Found(
        {
            "how": how,
            "numbers": _numbers(record) if known else "seen in the graph",
            "classes": record.classes,
            "floor": record.floor,
            "shrink": _shrink(record),
        },
        confidence,
    )


def _numbers(record: CallRecord) -> str:
    return f"sampled rows sum to {float(record.sums.mean()):.4f}, values {record.low:.3g} .. {record.high:.3g}"


def _shrink(record: CallRecord) -> str:
    """How much smaller the logits' gradient is on these rows: softmax's Jacobian stands in between."""
    sample = record.sample
    if sample is None or record.up_to_constant or sample.target is None or sample.target.dim() != 1:
        return "multiplied by a second softmax's Jacobian"
    read = (sample.target >= 0) & (sample.target < record.classes) & (sample.target != record.ignore_index)
    p, y = sample.rows[read].double(), sample.target[read]
    if not p.numel():
        return "multiplied by a second softmax's Jacobian"
    hot = p.new_zeros(p.shape).scatter_(1, y.unsqueeze(1), 1.0)
    outer = p.softmax(1) - hot
    ours = p * (outer - (p * outer).sum(1, keepdim=True))
    right, wrong = (float((part * part).sum().sqrt()) for part in (p - hot, ours))
    ratio = right / max(1e-30, wrong)
    return f"{ratio:.3g}x smaller than those of the logits on this batch"
