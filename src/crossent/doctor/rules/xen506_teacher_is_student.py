"""Teacher and student are the same tensor.

What
    Both arguments of ``kl_div`` were computed from the same logits (a typo).
Why
    The divergence of a distribution from itself is 0, and so is its gradient: distillation stops.
Bad::

    student = model(x)
    loss = F.kl_div(student.log_softmax(1), student.softmax(1), reduction="batchmean")  # XEN506

Good::

    loss = F.kl_div(model(x).log_softmax(1), teacher(x).softmax(1).detach(), reduction="batchmean")

How it is detected
    The sampled target equals the sampled input's exponential within rounding. An error if both are seen in the
    graph to come from the same operation. By their values alone a warning from the second call of a line on, and at
    the first a note, since student and teacher may start equal.
False positives
    A copy of the student as the teacher, before the first step.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
"""

from __future__ import annotations

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "teacher and student are the same distribution ({how}): the largest difference on the sampled rows is "
    "{difference:.2g}."
)
CONSEQUENCE = "the divergence and its gradient are 0; nothing is distilled."
FIX = "compute the target from the teacher's logits."


def from_values(record: CallRecord) -> Found | None:
    target = None if record.sample is None else record.sample.target
    if target is None or target.dim() != 2 or target.shape != record.rows.shape or not record.has_enough_values:
        return None
    probabilities = target.exp() if record.log_target else target
    difference = float((record.rows.exp() - probabilities).abs().max())
    if not difference <= record.sum_tolerance / 10:
        return None
    from_graph = _same_source(record)
    if from_graph:
        return Found({"how": "both come from the same operation", "difference": difference})
    again = record.index > 0 or not record.is_watched
    evidence = {"how": "by their values", "difference": difference}
    return Found(evidence, "medium", "warning" if again else "note")


def _same_source(record: CallRecord) -> bool:
    ours, theirs = graph.above(record.chain.producer), graph.above(record.target_chain.producer)
    return ours.producer is not None and theirs.producer is not None and ours.producer.node is theirs.producer.node
