"""backward() of a loss that was cut from its graph.

What
    The loss was rebuilt from numbers, ``torch.tensor(loss.item(), requires_grad=True)``, or requires_grad was set on a
    loss whose graph had been cut by detach(), numpy() or no_grad.
Why
    Such a tensor is a leaf: ``backward()`` writes into its own ``.grad`` and reaches no parameter. (Where requires_grad
    was not set, torch refuses: "element 0 of tensors does not require grad"; that is XEN110.)
Bad::

    loss = F.cross_entropy(model(x), y)
    loss = torch.tensor(loss.item(), requires_grad=True)
    loss.backward()  # XEN111

Good::

    loss = F.cross_entropy(model(x), y)
    loss.backward()

How it is detected
    ``backward()`` is called on a single number that requires a gradient and has no ``grad_fn``; or its graph is a few
    operations on one leaf whose values are those of the losses computed before.
False positives
    Optimising one scalar parameter by itself: reported only where a loss was computed before.
References
    https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
"""

from __future__ import annotations

from typing import cast

from torch import Tensor

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.moments import Backward

MESSAGE = "backward() on a loss that was made anew from numbers (value {value:.6g}): no parameter is in its graph."
CONSEQUENCE = "no parameter gets a gradient; the model does not learn."
FIX = "call backward() on the tensor that the loss function returned; use .item() or .detach() only for printing."

FEW = 8  # operations between a leaf and its mean or sum


def from_backward(moment: Backward) -> Found | None:
    root = moment.root
    if root.numel() != 1 or not root.requires_grad or not moment.losses_before:
        return None
    if root.grad_fn is not None and not _is_made_of(graph.leaves(root.grad_fn, FEW), moment.losses_before):
        return None
    return Found({"value": float(root.detach())})


def _is_made_of(leaves: list[Tensor] | None, losses: tuple[float, ...]) -> bool:
    """Whether one leaf is all there is, and it holds losses that were computed before."""
    if leaves is None or len(leaves) != 1 or not 0 < leaves[0].numel() <= len(losses):
        return False
    values = cast("list[float]", leaves[0].detach().reshape(-1).tolist())
    return all(any(abs(value - loss) <= 1e-6 * max(1.0, abs(loss)) for loss in losses) for value in values)
