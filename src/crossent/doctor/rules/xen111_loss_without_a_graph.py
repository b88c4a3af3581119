"""backward() of a loss that was cut from its graph.

What
    The loss was rebuilt from a number, ``torch.tensor(loss.item(), requires_grad=True)``, or its graph was cut by
    detach(), numpy() or no_grad.
Why
    Such a tensor is a leaf: ``backward()`` writes 1 into its own ``.grad`` and reaches no parameter. Where
    requires_grad was not set, torch refuses: "element 0 of tensors does not require grad".
Bad::

    loss = F.cross_entropy(model(x), y)
    loss = torch.tensor(loss.item(), requires_grad=True)
    loss.backward()  # XEN111

Good::

    loss = F.cross_entropy(model(x), y)
    loss.backward()

How it is detected
    ``backward()`` is called on a single number that requires a gradient and has no ``grad_fn``.
False positives
    Optimising one scalar parameter by itself: reported only where a loss was computed before.
References
    https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.moments import Backward

MESSAGE = "backward() on a loss that is a leaf (value {value:.6g}, grad_fn None): {cause}."
CONSEQUENCE = "no parameter gets a gradient; the model does not learn."
FIX = "call backward() on the tensor that the loss function returned; use .item() or .detach() only for printing."


def from_backward(moment: Backward) -> Found | None:
    root = moment.root
    if root.grad_fn is not None or root.numel() != 1 or not moment.losses_before:
        return None
    cause = "it was made anew from a number" if root.requires_grad else "its graph was cut (detach, no_grad, argmax)"
    return Found({"value": float(root.detach()), "cause": cause})
