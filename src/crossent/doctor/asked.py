"""``doctor(loss)`` and ``doctor(logits, target, **options)``: one call, asked about afterwards or beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from crossent import errors
from crossent.doctor import arguments, examine, exceptions, given, graph
from crossent.doctor.finding import Finding, Found, Place, finding
from crossent.doctor.moments import Backward, PastLoss
from crossent.doctor.record import CallRecord
from crossent.doctor.report import Report
from crossent.doctor.rules import table

LOSS_NODES = {
    "NllLoss": "nll_loss",
    "NllLoss2D": "nll_loss",
    "NllLossNd": "nll_loss",
    "BinaryCrossEntropy": "binary_cross_entropy",
    "BinaryCrossEntropyWithLogits": "binary_cross_entropy_with_logits",
    "Loss": "cross_entropy",  # crossent's: crossent_call has its function
}
REDUCTIONS = ("none", "mean", "sum")
OPTIONS = frozenset(
    {"weight", "ignore_index", "reduction", "label_smoothing", "log_target", "class_dim", "function", "pos_weight"}
)


def about_loss(loss: Tensor, place: Place) -> Report:
    """What the graph below a loss says."""
    if not isinstance(loss, Tensor):
        raise TypeError(f"doctor(loss) takes the tensor that a loss returned, not {type(loss).__name__}")
    if loss.grad_fn is None and loss.numel() != 1:
        raise TypeError(
            f"doctor(loss) takes what a loss returned; came {tuple(loss.shape)} without a graph. "
            "Write doctor(logits, target)"
        )
    if loss.grad_fn is None:
        return _without_graph(loss, place)
    nodes = graph.search(loss.grad_fn, frozenset(LOSS_NODES) | _PROBABILITY)
    report = Report([], [], "one loss")
    for step in nodes:
        record, limit = _read(step, place)
        if record is not None:
            report += Report(*examine.call(record))
        if limit is not None:
            report += Report([], [limit])
    backward = examine.moment("backward", Backward(loss), place, "loss")
    report += Report(*backward)
    if not nodes:
        reason = graph.walk(loss.grad_fn).opaque or "no loss of torch or crossent in it"
        report += Report(
            [], [f"{place}: the graph says nothing ({reason}); pass doctor(logits, target) for a test of values"]
        )
    return report


_PROBABILITY = frozenset({"LogSoftmax"})  # a loss of probability targets leaves no loss node: only its log_softmax


def _without_graph(loss: Tensor, place: Place) -> Report:
    if not torch.is_grad_enabled():
        return Report([], [f"{place}: the loss has no graph, since gradients are off"], "one loss")
    leaf = Backward(loss, (PastLoss(0.0, str(place), grad_enabled=True, has_graph=True, is_of_a_leaf=False),))
    row = table.BY_CODE["XEN111" if loss.requires_grad else "XEN110"]
    rule = table.rule(row)
    if loss.requires_grad:
        found = rule.from_backward(leaf)
        return Report([] if found is None else [finding(row, rule, found, place, "loss")], [], "one loss")
    return Report([_cut(row, place)], [], "one loss")


def _cut(row: Any, place: Place) -> Finding:
    found = Found({"function": "the loss", "values": "the loss has no grad_fn"}, "medium")
    made = finding(row, table.rule(row), found, place, "loss")
    message = (
        "the loss has no graph (requires_grad=False, grad_fn None): argmax, detach(), .item(), numpy() or no_grad "
        "cut it, or no input required a gradient."
    )
    return replace(made, message=message, evidence={"requires_grad": False})


def _read(step: graph.Step, place: Place) -> tuple[CallRecord | None, str | None]:
    """A record of the call that made this node, from what the node saved."""
    if step.kind in _PROBABILITY:
        return _without_loss_node(step, place), None
    try:
        return _saved(step, place), None
    except RuntimeError as problem:  # freed by backward()
        return None, f"{place}: the loss was read after backward(): its tensors are freed ({str(problem)[:60]}...)"


def _saved(step: graph.Step, place: Place) -> CallRecord:
    node = step.node
    call = getattr(node, "crossent_call", None)
    if call is not None:
        saved = node.saved_tensors
        options = call.options
        return CallRecord(
            call.function, _graphed(saved[0], node), saved[1], saved[2], options.ignore_index, options.reduction,
            options.label_smoothing, class_dim_given=options.class_dim, place=place,
        )  # fmt: skip
    function = LOSS_NODES[step.kind]
    reduction = REDUCTIONS[graph.signed(int(node._saved_reduction))]
    ignore_index = graph.signed(int(getattr(node, "_saved_ignore_index", 2**64 - 100)))
    given = graph.parents(node)
    input = node._saved_self.detach()
    is_cross_entropy = function == "nll_loss" and bool(given) and _normalises_classes(given[0], input)
    source = (
        graph.parents(given[0])[0] if is_cross_entropy and graph.parents(given[0]) else (given[0] if given else None)
    )
    record = CallRecord(
        "cross_entropy" if is_cross_entropy else function, input, node._saved_target, node._saved_weight,
        ignore_index, reduction, place=place, up_to_constant=is_cross_entropy,
    )  # fmt: skip
    record.chain = graph.walk(source)
    return record


def _normalises_classes(node: Any, input: Tensor) -> bool:
    """Whether this is the log_softmax of a cross entropy: over the classes."""
    dim = graph.Step("", node).number("dim") if graph.kind_of(node) == "LogSoftmax" else None
    return dim is not None and dim % input.dim() == min(1, input.dim() - 1)


def _graphed(tensor: Tensor, node: Any) -> Tensor:
    return tensor  # crossent's node saves the caller's tensor, whose grad_fn is the graph above it


def _without_loss_node(step: graph.Step, place: Place) -> CallRecord | None:
    """log_softmax without a loss node below it: only its own input can be judged."""
    above = graph.parents(step.node)
    result = getattr(step.node, "_saved_result", None)
    if not above or result is None:
        return None
    record = CallRecord(
        "cross_entropy", result.detach(), class_dim_given=step.number("dim"), place=place, up_to_constant=True
    )
    record.chain = graph.walk(above[0])
    return record if record.chain.kind in ("Softmax", "Sigmoid", "Relu", "LogSoftmax") else None


def about_values(input: Tensor, target: Tensor, options: dict[str, Any], place: Place) -> Report:
    """What the values of a call say (and the graph of its input, where there is one)."""
    unknown = set(options) - OPTIONS
    if unknown:
        raise TypeError(f"doctor() got options {sorted(unknown)}; it knows {sorted(OPTIONS)}")
    function = options.get("function", "cross_entropy")
    if function not in (*table.LOSSES, "mse_loss"):
        raise ValueError(f"function is {function!r}; expected one of {', '.join(table.LOSSES)}")
    input, target = given.tensor("logits", input), given.tensor("target", target)
    class_dim = options.get("class_dim")
    if class_dim is not None and not -input.dim() <= class_dim < max(1, input.dim()):
        expected = f"{-input.dim()} to {input.dim() - 1}"
        raise errors.refuse("XEN036", came=class_dim, dimensions=input.dim(), expected=expected)
    record = CallRecord(
        function, input, target, options.get("weight"), options.get("ignore_index", -100),
        options.get("reduction", "mean"), options.get("label_smoothing", 0.0), options.get("log_target", False),
        class_dim, place=place, grad_enabled=torch.is_grad_enabled(),
    )  # fmt: skip
    findings, limits = examine.refused(record)
    if not findings:
        findings, limits = examine.call(record)
    if not findings and arguments.blindness(input, target) is None:
        findings = exceptions.refusal(record, place)
    return Report(findings, limits, f"one call of {function}")
