"""Class weights of another type, dtype or length than torch takes.

What
    A list or float64 tensor (from NumPy, scikit-learn) as ``weight=``, or one of another length than there are
    classes.
Why
    torch refuses: "argument 'weight' must be Tensor, not list", "expected scalar type Float but found Double",
    "weight tensor should be defined either for all classes or no classes". One weight for each class is multiplied
    with each row's loss, ``w(y_i) l_i``: C numbers, never N of them.
Bad::

    weight = torch.linspace(0.5, 5.0, 10, dtype=torch.float64)
    loss = F.cross_entropy(model(x), y, weight=weight)  # XEN303

Good::

    weight = torch.linspace(0.5, 5.0, 10, dtype=torch.float64).float()
    loss = F.cross_entropy(model(x), y, weight=weight)

How it is detected
    From the weight of a call that torch refused.
False positives
    None.
References
    https://github.com/pytorch/pytorch/issues/101213
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "the class weight is {came}; expected {want}."
CONSEQUENCE = "torch refuses the call."
FIX = "{advice}"


def from_error(record: CallRecord) -> Found | None:
    weight: Any = record.weight
    if weight is None or isinstance(weight, str) or not record.is_row_loss or not record.input.is_floating_point():
        return None
    want = f"a {record.dtype} tensor of {record.classes} numbers on {record.input.device}"
    if not isinstance(weight, Tensor):
        advice = f"weight=torch.tensor(weight, dtype=torch.{record.dtype}, device=logits.device)."
        return Found({"came": f"a {type(weight).__name__}", "want": want, "advice": advice})
    came = f"a {str(weight.dtype).removeprefix('torch.')} tensor of shape {tuple(weight.shape)} on {weight.device}"
    if weight.numel() != record.classes:
        advice = "one weight per class (a weight per sample is a factor on reduction='none')."
    elif weight.dtype != record.input.dtype:
        advice = f"weight.to(torch.{record.dtype}); weights computed with NumPy are float64."
    elif weight.device != record.input.device:
        advice = "move the loss module with .to(device): its weight is a buffer."
    else:
        return None
    return Found({"came": came, "want": want, "advice": advice})
