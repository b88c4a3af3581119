"""The target is one-hot with integers.

What
    A target of the logits' shape with an integer dtype, usually straight from ``F.one_hot``.
Why
    torch reads a target of the input's shape as class probabilities, which must be floating: it refuses with
    "Expected floating point type for target with class probabilities, got Long". As floats they are another loss where
    class weights are given: the mean is divided by N and not by ``sum_i w(y_i)`` (measured 0.2612 against 0.1493).
Bad::

    loss = F.cross_entropy(model(x), F.one_hot(y, 10))  # XEN201

Good::

    loss = F.cross_entropy(model(x), y)
    loss = F.cross_entropy(model(x), F.one_hot(y, 10).float())

How it is detected
    From the shapes and dtypes of a call that torch refused.
False positives
    None.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "the target is one-hot integers {shape} {dtype}; {function} expects class indices of shape {want}."
CONSEQUENCE = "torch refuses the call."
FIX = (
    "pass the class indices, target.argmax({dim}); or .float() for probabilities. With weight= the two differ: the "
    "mean of indices divides by the sum of weights, that of probabilities by the number of samples."
)


def from_error(record: CallRecord) -> Found | None:
    target = record.target
    if not record.is_row_loss or target is None or target.is_floating_point():
        return None
    if target.shape != record.input.shape or record.input.dim() < 2 or not record.input.is_floating_point():
        return None
    want = tuple(size for dim, size in enumerate(record.shape) if dim != record.class_dim)
    dtype = str(target.dtype).removeprefix("torch.")
    return Found(
        {
            "shape": tuple(target.shape),
            "dtype": dtype,
            "want": want,
            "dim": record.class_dim,
            "function": record.function,
        }
    )
