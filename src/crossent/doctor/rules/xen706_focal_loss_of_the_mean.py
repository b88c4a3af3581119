"""A focal loss whose p_t is that of the whole batch.

What
    ``p = torch.exp(-F.cross_entropy(logits, y))`` and then ``(1 - p) ** gamma * loss``, with the default mean.
Why
    The focal loss weighs each sample by its own ``(1 - p_t)^gamma``, so that easy ones count less. ``exp`` of the mean
    loss is one number, the geometric mean of all p_t: every sample gets the same factor, and the loss is cross entropy
    with another learning rate.
Bad::

    ce = F.cross_entropy(model(x), y)
    loss = (1 - torch.exp(-ce)) ** 2 * ce
    loss.backward()  # XEN706

Good::

    ce = F.cross_entropy(model(x), y, reduction="none")
    loss = ((1 - torch.exp(-ce)) ** 2 * ce).mean()
    loss.backward()

How it is detected
    When ``backward()`` is called: in the graph an exp of the negated loss, which is a mean over more than one sample.
False positives
    None known. A p_t that holds class weights is seen by ``doctor.crosscheck`` only.
References
    https://arxiv.org/abs/1708.02002
"""

from __future__ import annotations

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.moments import Backward

MESSAGE = "exp(-loss) of a mean over {count} samples (loss {loss:.4f}) weighs the loss: one factor for all samples."
CONSEQUENCE = "easy and hard samples count the same; focusing does nothing."
FIX = 'take reduction="none", weigh each sample, and then the mean.'


def from_backward(moment: Backward) -> Found | None:
    means = [loss for loss in moment.losses_before if (loss.count or 0) > 1]
    if moment.root.grad_fn is None or not means:
        return None
    for exponential in graph.search(moment.root.grad_fn, frozenset({"Exp", *LOSSES}), 60):
        negated = graph.above(exponential).producer if exponential.kind == "Exp" else None
        if negated is not None and negated.kind == "Neg" and _is_a_mean(graph.above(negated).producer):
            return Found({"count": means[-1].count, "loss": means[-1].value})
    return None


LOSSES = ("NllLoss", "NllLoss2D", "Loss")


def _is_a_mean(step: graph.Step | None) -> bool:
    if step is None or step.kind not in LOSSES:
        return False
    call = getattr(step.node, "crossent_call", None)
    return call.options.reduction == "mean" if call is not None else step.number("reduction") == MEAN


MEAN = 1  # torch's number for it
