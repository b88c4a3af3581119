"""backward() of a loss that was cut from its graph.

What
    The loss, or the logits before it, were rebuilt from numbers, ``torch.tensor(loss.item(), requires_grad=True)``; or
    gradients were off when it was computed.
Why
    A tensor made of numbers is a leaf: ``backward()`` writes into its own ``.grad`` and reaches no parameter. Where
    requires_grad was not set, torch refuses: "element 0 of tensors does not require grad".
Bad::

    loss = F.cross_entropy(model(x), y)
    loss = torch.tensor(loss.item(), requires_grad=True)
    loss.backward()  # XEN111

Good::

    loss = F.cross_entropy(model(x), y)
    loss.backward()

How it is detected
    ``backward()`` is called on a single number that requires a gradient and has no ``grad_fn``; or its graph is a few
    operations on one leaf whose values are those of the losses computed before. Or it has no graph at all, and equals
    the last loss: that was computed without gradients, or it had a graph then, or its input carried none. Or all
    losses that went backward had a leaf as their input, and no parameter of the optimizer has a gradient when it makes
    its step.
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
from crossent.doctor.moments import Backward, PastLoss, Step

MESSAGE = "backward() on a loss that was made anew from numbers (value {value:.6g}): no parameter is in its graph."
CONSEQUENCE = "no parameter gets a gradient; the model does not learn."
FIX = "call backward() on the tensor that the loss function returned; use .item() or .detach() only for printing."

MESSAGE_OFF = "backward() on a loss that was computed with gradients off, at {place}: it has no graph."
FIX_OFF = "leave no_grad, inference_mode or set_grad_enabled(False) before the training step."

MESSAGE_CUT = "backward() on a number without a graph; the loss at {place} had one: it was cut in between."

MESSAGE_INPUT = (
    "backward() on the loss at {place}, whose input carries no gradient: it was cut from its graph (.data, detach(), "
    "numpy()), or nothing before it requires one."
)
FIX_INPUT = "pass the model's output itself to the loss, and see that its parameters require gradients."

MESSAGE_LEAF = (
    "backward() ran, and no parameter of the optimizer has a gradient: the input of the loss at {place} was made of "
    "numbers."
)
FIX_LEAF = "keep the model's output a tensor on its way to the loss: torch.cat in place of numpy(), tolist() or .data."

XEN110 = "XEN110"  # a loss of decisions: said where it was computed
FEW = 8  # operations between a leaf and its mean or sum


def from_backward(moment: Backward) -> Found | None:
    root, before = moment.root, moment.losses_before
    if root.numel() != 1 or not before or XEN110 in before[-1].codes:
        return None
    if not root.requires_grad:
        return _refused(float(root.detach()), before[-1])
    if root.grad_fn is not None and not _is_made_of(graph.leaves(root.grad_fn, FEW), before):
        return None
    return Found({"value": float(root.detach())})


def _refused(value: float, loss: PastLoss) -> Found | None:
    """Why torch is about to refuse: only if the last loss is what backward() is called on."""
    if not _is_close(value, loss.value):
        return None  # another number
    if loss.is_of_decisions:
        return None  # XEN110
    return Found({"place": loss.place}, variant="CUT" if loss.has_graph else "INPUT" if loss.grad_enabled else "OFF")


def from_step(moment: Step) -> Found | None:
    if moment.has_gradients or not moment.losses or not all(loss.is_of_a_leaf for loss in moment.losses):
        return None
    return Found({"place": moment.losses[-1].place}, variant="LEAF")


def _is_made_of(leaves: list[Tensor] | None, losses: tuple[PastLoss, ...]) -> bool:
    """Whether one leaf is all there is, and it holds losses that were computed before."""
    if leaves is None or len(leaves) != 1 or not 0 < leaves[0].numel() <= len(losses):
        return False
    values = cast("list[float]", leaves[0].detach().reshape(-1).tolist())
    return all(any(_is_close(value, loss.value) for loss in losses) for value in values)


def _is_close(value: float, loss: float) -> bool:
    return abs(value - loss) <= 1e-6 * max(1.0, abs(loss))
