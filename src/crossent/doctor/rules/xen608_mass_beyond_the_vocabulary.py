"""The model gives probability to tokens that do not exist, or labels name them.

What
    The head is padded (to a multiple of 64, say) beyond the tokenizer, or labels lie beyond its length.
Why
    Columns beyond the tokenizer are never labels; until they are learned away they take probability from real
    tokens and can be generated: of equal logits ``(V - V_tok) / V``, 22 % with 50 tokens padded to 64, 0.09 % with
    50257 to 50304. A label there is a fault of the data.
Bad::

    report = doctor.batch({"input_ids": ids, "labels": ids.clone()}, tokenizer, logits=torch.zeros(4, 16, 64))  # XEN608

Good::

    logits = torch.zeros(4, 16, 64)
    logits[..., 50:] = -1e4
    report = doctor.batch({"input_ids": ids, "labels": ids.clone()}, tokenizer, logits=logits)

How it is detected
    With ``logits=``: the softmax of at most 256 rows has more than 0.1 % of its mass in columns from
    ``len(tokenizer)`` on. A label of ``len(tokenizer)`` or more is reported in any case.
False positives
    An untrained model: the mass shrinks with training.
References
    https://github.com/unslothai/unsloth/issues/10616
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.moments import Batch

MESSAGE = "{mass:.2%} of the probability lies on {columns} columns beyond the tokenizer ({known} < {classes})."
CONSEQUENCE = "tokens that do not exist can be generated, and real ones lose probability."
FIX = "set those columns to a large negative number before softmax (finite, see XEN406), or cut them off."

MESSAGE_LABELS = "{count} labels lie beyond the tokenizer (highest {high}, length {known})."
CONSEQUENCE_LABELS = "the model is trained on tokens that cannot be decoded."
FIX_LABELS = "find out which tokenizer made these labels."

MASS = 1e-3


def from_batch(batch: Batch) -> Found | None:
    known = batch.vocabulary
    if known is None:
        return None
    if batch.labels is not None:
        beyond = batch.labels[batch.labels >= known]
        if beyond.numel():
            evidence = {"count": beyond.numel(), "high": int(beyond.max()), "known": known}
            return Found(evidence, severity="error", variant="LABELS")
    if batch.logits is None or batch.logits.shape[-1] <= known:
        return None
    rows = batch.logits.detach().reshape(-1, batch.logits.shape[-1])
    rows = rows[:: max(1, rows.shape[0] // 256)]
    mass = float(rows.float().softmax(1)[:, known:].sum(1).mean())
    classes = rows.shape[1]
    if mass <= MASS:
        return None
    return Found({"mass": mass, "columns": classes - known, "known": known, "classes": classes})
