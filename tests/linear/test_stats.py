"""linear_cross_entropy_with_stats and linear_log_prob against the functions of the logits, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import crossent
from crossent import LinearPlan
from linear_cases import ENGINES, LinearCase, make

KINDS = ("batch", "bias", "inner", "probabilities", "shift", "one")
SETTINGS: tuple[tuple[str, ...], ...] = ((), ("ignore", "softcap"), ("weight", "smoothing", "z_loss"), ("scale_rows",))
PLANS = (None, LinearPlan(rows=3), LinearPlan(rows=4, gradients="recompute"))


def both(case: LinearCase, backend: str, **how: Any) -> tuple[Any, Any, Any]:
    arguments = make(case)
    keywords = dict(arguments.keywords)
    keywords |= {} if arguments.shift is None else {"shift": arguments.shift}
    ours = crossent.linear_cross_entropy_with_stats(
        arguments.input, arguments.head, arguments.target, backend=backend, **keywords, **how
    )
    bias = keywords.pop("linear_bias", None)
    logits = torch.nn.functional.linear(
        arguments.input, arguments.head.flatten(0, -2), None if bias is None else bias.flatten()
    )
    logits = logits.reshape(*arguments.input.shape[:-1], *arguments.head.shape[:-1])
    keywords |= {} if arguments.shift is None else {"class_dim": -1}
    theirs = crossent.cross_entropy_with_stats(logits, arguments.target, backend="reference", **keywords)
    return arguments, ours, theirs


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_all_fields_and_their_gradients(kind: str, backend: str) -> None:
    for settings in SETTINGS:
        if "ignore" in settings and kind == "probabilities":
            continue
        for plan in PLANS:
            arguments, ours, theirs = both(LinearCase(kind, settings, "mean"), backend, options=plan)
            assert ours._fields[:8] == theirs._fields and ours.top_classes is None
            for mine, other in zip(ours[:8], theirs, strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-10, equal_nan=True)
            for fields in (("loss",), ("loss", "nll", "entropy", "logsumexp", "z_loss"), ("entropy",), ("nll",)):
                grads = []
                for stats in (ours, theirs):
                    generator = torch.Generator().manual_seed(4)
                    total = sum(
                        (getattr(stats, name) * torch.randn(getattr(stats, name).shape, generator=generator)).sum()
                        for name in fields
                    )
                    leaves = list(arguments.leaves.values())
                    grads.append(torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True))
                for mine, other in zip(*grads, strict=True):
                    if other is None:
                        assert mine is None or not mine.any()
                    else:
                        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("kind", ["batch", "inner", "shift"])
def test_top_classes(kind: str, backend: str) -> None:
    arguments, ours, _ = both(
        LinearCase(kind, ("ignore", "softcap"), "mean"), backend, top_k=3, options=LinearPlan(rows=4)
    )
    bias = arguments.keywords.get("linear_bias")
    logits = (
        torch.einsum("...h,ch->...c", arguments.input, arguments.head)
        if kind != "inner"
        else torch.einsum("nh,cabh->nabc", arguments.input, arguments.head)
    )
    if bias is not None:
        logits = logits + (bias if kind != "inner" else bias.movedim(0, -1))
    expected, classes = torch.log_softmax(2.0 * torch.tanh(logits / 2.0), -1).topk(3, -1)
    if arguments.shift:
        expected, classes = expected.roll(arguments.shift, 1), classes.roll(arguments.shift, 1)
    read = (arguments.target != -100)[..., None].expand_as(classes).clone()
    if arguments.shift:
        read[:, : arguments.shift] = False
    torch.testing.assert_close(ours.top_log_probs, torch.where(read, expected, 0.0))
    assert torch.equal(ours.top_classes, torch.where(read, classes, -1))


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("shift", [None, 0, 2])
@pytest.mark.parametrize("several", [False, True])
def test_log_prob(several: bool, shift: int | None, backend: str) -> None:
    lead = (9,) if shift is None else (2, 9)
    input = torch.randn(*lead, 4, dtype=torch.float64, requires_grad=True)
    head = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(6, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(0, 6, (*lead, 3) if several else lead)
    if several:
        tokens[..., 4, :], tokens[..., 2, 1] = -100, -100  # a row without any, a row without one
    else:
        tokens[..., 4] = -100
    ours = crossent.linear_log_prob(
        input, head, tokens, linear_bias=bias, softcap=3.0, logit_scale=0.5, shift=shift, backend=backend
    )
    logits = 3.0 * torch.tanh(0.5 * (input @ head.T + bias) / 3.0)
    log_probs = torch.log_softmax(logits, -1)
    skipped = tokens == -100
    if shift:
        log_probs = log_probs.roll(shift, -2)
        skipped = skipped.clone()
        skipped[:, :shift] = True
    index = torch.where(tokens == -100, 0, tokens)
    theirs = log_probs.gather(-1, index if several else index[..., None])
    theirs = torch.where(skipped, 0.0, theirs if several else theirs[..., 0])
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, (input, head, bias), upstream),
        torch.autograd.grad(theirs, (input, head, bias), upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)
