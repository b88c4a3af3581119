"""One call of one backend on one case: its outputs, its gradients, and what the exact ones may differ by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

import arguments as building
import closeness
import crossent
import torch_recipes
from arguments import Arguments
from cases import Case
from closeness import STEPS, growth
from crossent import composite, dispatch, handover, problem, readouts
from crossent.backends.protocol import RowProblem, compute_dtype
from crossent.call import LossTensors
from crossent.options import LossOptions

# Those that run on CPU tensors: the GPU engine does under TRITON_INTERPRET=1 (make gpu-interpret).
BACKENDS = tuple(
    name for name, _ in dispatch.backends() if dispatch.reason_against(name, torch.device("cpu"), torch.float32) is None
)
PROVIDERS = (*BACKENDS, "composite")
DIFFERENTIABLE = ("loss", "result", "nll", "logsumexp", "entropy", "z_loss")
TENSOR_OPTIONS = ("sample_weight", "denominator", "logit_scale")

Named = dict[str, Tensor]


@contextmanager
def served() -> Iterator[list[handover.Served]]:
    """The losses computed inside, and who computed them."""
    seen: list[handover.Served] = []
    handover.add_listener(seen.append)
    try:
        yield seen
    finally:
        handover.remove_listener(seen.append)


def outputs(case: Case, arguments: Arguments, provider: str) -> Named:
    """The outputs of a call by name; asserts that the provider asked for is the one that served."""
    if provider == "torch":
        return torch_recipes.answers(case, arguments)
    if provider == "composite":
        return _composite(case, arguments)
    known = {**arguments.keywords, "backend": provider}
    positional = (arguments.input,) if arguments.target is None else (arguments.input, arguments.target)
    with served() as seen:
        answer = getattr(crossent, case.function)(*positional, **known)
    assert [each.by for each in seen] == [provider]
    if isinstance(answer, Tensor):
        return {"result" if case.function == "log_softmax" else "loss": answer}
    return answer._asdict()


def gradients(outputs: Named, arguments: Arguments, upstreams: Named) -> Named:
    """d sum(upstream * output) / d leaf, for every leaf; the graph is kept."""
    pairs = [(outputs[name], gradient) for name, gradient in upstreams.items() if outputs[name].requires_grad]
    leaves = arguments.leaves
    answers = torch.autograd.grad(
        [output for output, _ in pairs],
        list(leaves.values()),
        [g for _, g in pairs],
        retain_graph=True,
        allow_unused=True,
    )
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), answers, strict=True)
    }


def upstreams(case: Case, outputs: Named, step: int = 0) -> Named:
    """An upstream gradient of every differentiable output."""
    return {name: building.upstream(case, outputs[name], step, name) for name in DIFFERENTIABLE if name in outputs}


def widened(named: Named) -> Named:
    """The same numbers in float64."""
    return {name: tensor.double() for name, tensor in named.items()}


def exact(case: Case, arguments: Arguments, upstream: Named, provider: str = "reference") -> tuple[Named, Named, Named]:
    """Outputs and gradients in float64, and the noise that is allowed on each."""
    wide = arguments.widened()
    values = outputs(case, wide, provider)
    up = widened(upstream)
    return values, gradients(values, wide, up), noises(case, wide, values, up, compute_dtype(case.dtype))


def loss_call(case: Case, arguments: Arguments) -> tuple[str, LossTensors, LossOptions, problem.Layout]:
    """What the public function makes of its arguments."""
    known = dict(arguments.keywords)
    tensors = {name: known.pop(name, None) for name in ("weight", *TENSOR_OPTIONS)}
    assert arguments.target is not None
    packed = LossTensors(arguments.input, arguments.target, **tensors)
    function = "nll_loss" if case.function == "nll_loss" else "cross_entropy"
    options = LossOptions(**known)
    layout = problem.layout_of(function, packed, options)
    assert layout is not None
    return function, packed, options, layout


def row_problem(case: Case, arguments: Arguments) -> tuple[RowProblem, problem.Layout]:
    """The rows of a case; for log_softmax scored against nothing."""
    if case.function != "log_softmax":
        function, tensors, options, layout = loss_call(case, arguments)
        return problem.row_problem(tensors, options, layout, function=function), layout
    scale, cap = arguments.keywords.get("logit_scale"), arguments.keywords.get("softcap")
    layout = problem.Layout(case.shape, building.class_axis(case), 0)
    rows = problem.rows_of(arguments.input, scale, cap, layout)
    known = {"logits": rows.logits, "logit_scale": rows.logit_scale, "softcap": cap}
    target = torch.zeros_like(rows.logits, requires_grad=False)
    return RowProblem(**known, target=target, skip=None, class_weight=None, on=1.0, off=0.0), layout


def _composite(case: Case, arguments: Arguments) -> Named:
    if case.function == "log_softmax":
        known = arguments.keywords
        scale = composite.as_scale(known.get("logit_scale"), arguments.input)
        axis, cap = building.class_axis(case), float(known.get("softcap") or 0.0)
        result = composite.log_softmax(arguments.input, axis, scale, cap)
        return {"result": result.to(known.get("dtype") or case.dtype)}
    function, tensors, options, layout = loss_call(case, arguments)
    probability = problem.is_probability(function, tensors)
    dtype = problem.result_dtype(tensors, options, probability=probability, casts=False)
    answer = composite.evaluate(function, tensors, options, layout, dtype, case.function == "cross_entropy_with_stats")
    names = ("loss", "nll", "logsumexp", "entropy", "z_loss", "predicted", "correct", "rank")
    return dict(zip(names, answer, strict=False))


# ---- noise of each output and gradient: "loss", "nll", ..., and "d_input", "d_target", ...


def noises(case: Case, wide: Arguments, values: Named, up: Named, compute: torch.dtype) -> Named:
    """The noise of closeness.py for every output and gradient of a case."""
    with torch.no_grad():
        rows, layout = row_problem(case, wide)
        terms = closeness.row_terms(rows)
        if case.function == "log_softmax":
            return _log_softmax_noises(case, rows, layout, terms, up["result"])
        return _loss_noises(case, wide, rows, layout, terms, values, up, compute)


def _loss_noises(
    case: Case, wide: Arguments, rows: RowProblem, layout: problem.Layout, terms: closeness.RowTerms,
    values: Named, up: Named, compute: torch.dtype,
) -> Named:  # fmt: skip
    plain = readouts.plain_problem(rows)
    plain_terms = closeness.row_terms(plain)
    value = closeness.value_noise(terms, rows.z_loss)
    count, known = terms.mass.numel(), wide.keywords
    sample = known.get("sample_weight")
    weight = torch.ones_like(terms.mass) if sample is None else layout.per_row(sample.double(), rows.row_shape).abs()
    below, own_mean = _denominator(known, rows, weight)
    size = terms.mass * (terms.log_sum + 1.0) + terms.dot + rows.z_loss * terms.lse.square()
    found = {
        "nll": layout.from_rows(closeness.value_noise(plain_terms, 0.0)["row"]),
        **{name: layout.from_rows(value[name]) for name in ("logsumexp", "entropy", "z_loss")},
    }
    if known.get("reduction", "mean") == "none":
        per_row = up_rows = layout.per_row(up["loss"].abs(), rows.row_shape)
        found["loss"] = layout.from_rows(value["row"] * weight)
    else:
        up_rows = (up["loss"].abs() / below).expand_as(weight)
        per_row = up_rows * growth(count)
        found["loss"] = ((value["row"] * weight).sum() + growth(count) * (size * weight).sum()) / below
    found = {name: noise.nan_to_num(0.0) for name, noise in found.items()}
    g = {name: layout.per_row(up[name].abs(), rows.row_shape) for name in up if name != "loss"}
    lse, z_up, entropy, nll = (
        g.get(name, torch.zeros_like(weight)) for name in ("logsumexp", "z_loss", "entropy", "nll")
    )
    slope = 2.0 * rows.z_loss * terms.lse
    hard = up_rows * weight * (1.0 + growth(count) / growth(rows.classes))
    soft = hard * (terms.mass + slope) + lse + slope * z_up + entropy * (terms.tilt + 1.0)
    bend = entropy if "entropy" in g else None
    # The nll of a weighted or smoothed loss takes a pass of its own; both are rounded before they are added.
    coarse = closeness.unit(case.dtype) / closeness.unit(compute)
    two_passes = 1.0 if plain is rows or "nll" not in g else 1.0 + coarse / STEPS
    noise = closeness.grad_noise(terms, rows, soft, hard, bend, compute)
    also = closeness.grad_noise(plain_terms, plain, nll * plain_terms.mass, nll, None, compute)
    noise = (noise + also) * two_passes
    found["d_input"] = layout.from_row_view(noise, torch.float64)
    if not rows.is_index:
        d_target = _target_noise(rows, terms, hard, nll) * two_passes
        found["d_target"] = layout.from_row_view(d_target, torch.float64, offset=layout.unread)
    found["d_logit_scale"] = _like(known.get("logit_scale"), layout, closeness.scale_noise(rows, noise))
    if isinstance(sample, Tensor):
        d_sample = per_row * (value["row"] + STEPS * size)
        if own_mean:
            share = problem.share_of_rows(rows).abs()
            d_sample = d_sample + per_row * share * (found["loss"] + STEPS * ((size * weight).sum() / below))
        found["d_sample_weight"] = layout.from_rows(torch.where(terms.read, d_sample, 0.0).nan_to_num(0.0))
    return found


def _target_noise(rows: RowProblem, terms: closeness.RowTerms, hard: Tensor, nll: Tensor) -> Tensor:
    """Noise of ``hard * w_c * on * (log_sum - (z_c - max))``, and of the same without weights for an nll."""
    spread = terms.far + terms.log_sum[:, None] + 1.0
    weight = 1.0 if rows.class_weight is None else rows.class_weight.abs()[:, None]
    return (hard[:, None] * rows.on * weight + nll[:, None]) * spread * (growth(rows.classes) + terms.moved[:, None])


def _like(scale: object, layout: problem.Layout, noise: Tensor) -> Tensor:
    if isinstance(scale, Tensor) and scale.dim():
        return layout.from_rows(noise)
    return noise.sum() * (1.0 + math.sqrt(noise.numel()) / growth(1))


def _denominator(known: dict[str, object], rows: RowProblem, weight: Tensor) -> tuple[Tensor, bool]:
    """|what the loss is divided by|, and whether that is the rows' own sum."""
    if known.get("reduction", "mean") != "mean":
        return torch.ones((), dtype=torch.float64), False
    given = known.get("denominator")
    if given is not None:
        return torch.as_tensor(given, dtype=torch.float64).reshape(()).abs(), False
    below = (problem.share_of_rows(rows) * weight).sum()
    return torch.where(below == 0, torch.ones_like(below), below), True


def _log_softmax_noises(
    case: Case, rows: RowProblem, layout: problem.Layout, terms: closeness.RowTerms, up: Tensor
) -> Named:
    steps = growth(rows.classes)
    value = steps * (terms.far + (terms.log_sum + 1.0)[:, None]) + 2.0 * terms.moved[:, None]
    g = layout.rows(up, row_shape=rows.row_shape).abs()
    total = g.sum(1, keepdim=True)
    noise = (steps + terms.far + (terms.log_sum + 2.0 * terms.moved)[:, None]) * (g + terms.probs * total)
    # The backward starts from the result, rounded to its dtype, and counts no finer than that (as torch's).
    result, compute = case.options.get("dtype") or case.dtype, compute_dtype(case.dtype)
    noise = noise * max(1.0, closeness.unit(compute_dtype(result)) / closeness.unit(compute))
    rounded = closeness.unit(result) / closeness.unit(compute)
    noise = noise + rounded * (terms.far + terms.log_sum[:, None]) * terms.probs * total
    scale = rows.logit_scale
    noise = noise * (scale.abs()[:, None] if isinstance(scale, Tensor) else abs(scale))
    noise = noise.nan_to_num(0.0)
    return {
        "result": layout.from_row_view(value.nan_to_num(0.0), torch.float64),
        "d_input": layout.from_row_view(noise, torch.float64),
        "d_logit_scale": _like(rows.logit_scale, layout, closeness.scale_noise(rows, noise)),
    }
