"""kl_div's target and its log_target do not go together.

What
    Log-probabilities as the target without ``log_target=True``, or probabilities with it.
Why
    Without log_target, torch takes the logarithm of the target: of a negative number that is NaN, and torch's
    ``xlogy`` makes the loss NaN or wrong. With it, ``exp(p)`` lies in [1, e] in place of a probability.
Bad::

    target = teacher(x).detach().log_softmax(1)
    loss = F.kl_div(model(x).log_softmax(1), target, reduction="batchmean")  # XEN502

Good::

    target = teacher(x).detach().log_softmax(1)
    loss = F.kl_div(model(x).log_softmax(1), target, reduction="batchmean", log_target=True)

How it is detected
    Sampled rows of the target are at most 0 with a logsumexp of 0, without log_target; or lie in [0, 1] and sum to
    1, with it.
False positives
    None known.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.kl_div.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import HALF, CallRecord

MESSAGE = "kl_div's target looks like {what} (rows: {rows}), but log_target={log_target}."
CONSEQUENCE = "{consequence}"
FIX = "{advice}"


def from_values(record: CallRecord) -> Found | None:
    target = None if record.sample is None else record.sample.target
    if target is None or target.dim() != 2 or target.shape[1] < 2 or not record.has_enough_values:
        return None
    assert record.target is not None
    tolerance = 6e-2 if record.target.dtype in HALF else 1e-3
    is_log = float(target.max()) <= 1e-6 and float(target.logsumexp(1).abs().max()) <= tolerance
    is_plain = float(target.min()) >= 0 and float((target.sum(1) - 1).abs().max()) <= tolerance
    if is_log and not record.log_target:
        rows = f"at most {float(target.max()):.3g}, logsumexp {float(target.logsumexp(1).mean()):.3g}"
        return _found(
            "log-probabilities", rows, False, "the loss is NaN or wrong.", "set log_target=True, or pass target.exp()."
        )
    if is_plain and record.log_target:
        rows = f"sum to {float(target.sum(1).mean()):.4f}"
        return _found(
            "probabilities", rows, True, "the target's weights lie in [1, e]: no distribution.", "leave log_target out."
        )
    return None


def _found(what: str, rows: str, log_target: bool, consequence: str, advice: str) -> Found:
    evidence = {"what": what, "rows": rows, "log_target": log_target, "consequence": consequence, "advice": advice}
    return Found(evidence)
