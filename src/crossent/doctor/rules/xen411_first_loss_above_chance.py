"""The first loss is far above that of guessing.

What
    Before any training the loss should be about ``log C``, the loss of equal probabilities.
Why
    Measured over default initialisations of MLPs, CNNs and language models with 2 to 8,000 classes, the first loss
    is 0.98 to 1.05 times log C. Inputs of 0..255 without normalisation give 14 to 36 times; a language model whose
    head is tied to an embedding drawn from N(0, 1), torch's default, 25 to 33 times.
Bad::

    loss = F.cross_entropy(model(x * 200), y)  # XEN411

Good::

    loss = F.cross_entropy(model(x), y)

How it is detected
    First call of a line with gradients on, index targets, no smoothing or weights: the loss is more than 1.5 times log
    C, the logits' standard deviation is at least 1.5, and they come straight from a layer with weights of its own. A
    loss above 1.2 times log C without those two is a note: a temperature, or adversarial inputs, may be meant. Too low
    a loss is not reported: fine-tuning starts there.
False positives
    Fine-tuning on data that look different.
References
    The check is the second step of Karpathy's "A Recipe for Training Neural Networks" (2019).
"""

from __future__ import annotations

import math

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the first loss is {loss:.3f}, {ratio:.1f} times that of guessing, log {classes} = {chance:.3f}; the logits' "
    "standard deviation is {spread:.3g}."
)
CONSEQUENCE = "the first steps are spent on shrinking logits; with a ratio of 10 and more, training may not recover."
FIX = "normalise the inputs, lower the scale of the last layer, or untie or rescale an N(0, 1) embedding."

WARN, NOTE = 1.5, 1.2
WIDE = 1.5  # standard deviation of logits; fresh heads have about 0.5, and random logits cost log C + variance / 2
HEADS = ("Addmm", "Mm", "Bmm", "Linear", "MkldnnLinear", "Convolution", "MkldnnConvolution")
FEWEST_ROWS = 8


def from_values(record: CallRecord) -> Found | None:
    loss, sample = record.loss, record.sample
    if not record.is_watched or record.index or not record.grad_enabled or not record.source.requires_grad:
        return None
    if (
        loss is None
        or sample is None
        or record.reduction != "mean"
        or record.weight is not None
        or record.label_smoothing
    ):
        return None
    if not record.has_index_target or record.classes < 2 or (record.valid_count or 0) < FEWEST_ROWS:
        return None
    chance = math.log(record.classes)
    ratio = loss / chance
    if not NOTE < ratio < math.inf:
        return None
    spread = math.nan if record.hidden is not None else float(sample.rows.std())
    is_plain = record.chain.kind in HEADS and record.chain.is_exact and graph.has_parameter(record.chain.producer)
    is_loud = ratio > WARN and spread >= WIDE and (is_plain or bool(record.chain.opaque))
    evidence = {"loss": loss, "ratio": ratio, "classes": record.classes, "chance": chance, "spread": spread}
    return Found(evidence, "medium", None if is_loud else "note")
