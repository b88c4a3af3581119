"""One straight pipe, as ``crossent.call`` has it for logits: values, torch's own calls, shapes, context, backend.

What torch refuses is refused by torch: its ``linear_cross_entropy`` (2.13 on; before, ``F.linear`` and
``cross_entropy``) gets the same arguments, and crossent's lines are added to what it raises.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from crossent import dispatch, errors, handover, internals, problem
from crossent.backends.protocol import TargetOutOfRange
from crossent.linear import composite, counted, filtering
from crossent.linear.autograd import LinearLoss
from crossent.linear.evaluation import LinearCall
from crossent.linear.head import LinearTensors, logits_shape
from crossent.linear.plan import LinearPlan
from crossent.options import LossOptions, checked
from crossent.problem import FLOATING, Layout

NAME = "linear_cross_entropy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call beside its tensors: what is computed, and how."""

    options: LossOptions  # ignore_index as cross_entropy knows it
    ignore_index: int | None  # as it was given
    plan: Any
    memory_budget: int | None
    filter_eps: Any = None
    readouts: bool = False
    top_k: int = 0
    valid_rows: int | None = None
    sequences: bool = False  # shift= was given: the input may be (..., T, H)
    shown: tuple[str, str] = (NAME, "target")  # the function that the user called, and its name for the target


def loss(tensors: LinearTensors, request: Request) -> tuple[Tensor, ...]:
    """(loss,), or (loss, *readouts.FIELDS)."""
    request, plan, budget = checked_values(request)
    options, tensors = request.options, problem.plain_numbers(tensors)
    _check_promise(tensors, request)
    owner = _torch_owns(tensors, plain=_is_plain(tensors, request))
    dtype = None if owner is not None else products_dtype(tensors)
    layout = None if dtype is None else _layout(tensors, request, dtype)
    if layout is not None and not 0 <= request.top_k <= layout.classes:
        expected = f"a number of classes, at most {layout.classes}"
        raise errors.refuse("XEN030", option="top_k", came=request.top_k, expected=expected)
    if dtype is None or layout is None:
        return (_torch_answers(tensors, request, owner),)
    logits = tensors.unmade(dtype)
    scored = tensors.scored(logits)
    problem.check_extras(scored, options, layout)
    casts = _autocasts(tensors.input)
    probability = problem.is_probability("cross_entropy", scored)
    result_dtype = problem.result_dtype(scored, options, probability=probability, casts=casts)
    reason = handover.composite_context(tensors)
    if reason is not None:
        if options.backend is not None:
            raise errors.refuse("XEN041", came=options.backend, reason=reason)
        answer = composite.evaluate(
            tensors, options, layout, result_dtype, readouts=request.readouts, top_k=request.top_k
        )
        _notify(request, logits, "composite", reason)
        return answer
    backend, reason = dispatch.choose(options.backend, tensors.input.device, dtype)
    filter_eps = filtering.checked(request.filter_eps, dtype)
    _check_count(tensors, plan, dtype)
    call = LinearCall(
        options=options, layout=layout, backend=backend, plan=plan, budget=budget, result_dtype=result_dtype,
        dtype=dtype, filter_eps=filter_eps, readouts=request.readouts, top_k=request.top_k,
        valid_rows=request.valid_rows, records=torch.is_grad_enabled(),
    )  # fmt: skip
    try:
        answer = cast("tuple[Tensor, ...] | Tensor", LinearLoss.apply(call, *tensors))
    except TargetOutOfRange as found:
        came = _came(tensors, request)
        raise handover.refuse_range("cross_entropy", scored, options, layout, found.row, came) from None
    _notify(request, logits, backend.name, reason)
    return answer if isinstance(answer, tuple) else (answer,)


def checked_values(request: Request) -> tuple[Request, LinearPlan, int | None]:
    """The request with its plan and budget; bad values are refused."""
    request = replace(request, options=checked(request.options))
    plan, budget = plan_of(request.plan), _budget(request.memory_budget)
    filtering.checked(request.filter_eps, torch.float32)
    return request, plan, budget


def _notify(request: Request, logits: Tensor, by: str, reason: str | None) -> None:
    """Under the function's own name; with read-outs it is the same loss."""
    handover.notify(request.shown[0].removesuffix("_with_stats"), logits, by, reason)


def plan_of(options: Any) -> LinearPlan:
    """A LinearPlan from ``options=``: None, a plan, or torch's own options object."""
    if options is None:
        return LinearPlan()
    if isinstance(options, LinearPlan):
        return options
    theirs = internals.torch_linear_options
    if theirs is None or not isinstance(options, theirs):
        raise errors.refuse("XEN055", came=errors.describe(options))
    return LinearPlan(rows=options.batch_chunk_size, accumulate=options.acc_dtype)


def _budget(bytes: Any) -> int | None:
    if bytes is not None and (not isinstance(bytes, int) or isinstance(bytes, bool) or bytes < 1):
        raise errors.refuse("XEN030", option="memory_budget", came=bytes, expected="a positive number of bytes, an int")
    return bytes


def _check_promise(tensors: LinearTensors, request: Request) -> None:
    rows = request.valid_rows
    if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 0):
        raise errors.refuse("XEN030", option="valid_rows", came=rows, expected="a number of rows, an int")
    if rows is not None and isinstance(tensors.target, Tensor) and tensors.target.is_floating_point():
        raise errors.refuse("XEN030", option="valid_rows", came=rows, expected="None with a probability target")


def _check_count(tensors: LinearTensors, plan: LinearPlan, dtype: torch.dtype) -> None:
    wanted = counted.why_not(tensors.input.device, dtype, tensors.input.shape[-1]) if plan.counted else None
    if wanted is not None:
        came = f"True with {dtype} on {tensors.input.device}"
        raise errors.refuse("XEN030", option="LinearPlan.counted", came=came, expected=f"None here, or {wanted}")


def _autocasts(input: Tensor) -> bool:
    kind = input.device.type
    return kind in ("cpu", "cuda", "xpu", "mps", "hpu") and torch.is_autocast_enabled(kind)


def _torch_owns(tensors: LinearTensors, *, plain: bool) -> str | None:
    """Why torch's own function must see this call, or None."""
    if _no_tensor(tensors) is not None:
        return "an argument is not a tensor"
    return handover.torch_owns(tensors, plain=plain)


def _is_plain(tensors: LinearTensors, request: Request) -> bool:
    """Whether torch's own function means the same and nobody asked for a backend by name."""
    if _beyond_torch(tensors) is not None or request.sequences or request.readouts:
        return False
    return request.options.is_torch and request.options.backend is None


def _beyond_torch(tensors: LinearTensors) -> str | None:
    """Which tensor torch would not understand."""
    names = ("sample_weight", "denominator", "logit_scale")
    for name in names:  # no next() of a generator: torch 2.8's Dynamo does not take its default
        if getattr(tensors, name) is not None:
            return name
    return None


def products_dtype(tensors: LinearTensors) -> torch.dtype | None:
    """The dtype that F.linear would multiply in here, or None where it would refuse."""
    parts = [tensors.input, tensors.linear_weight]
    if tensors.linear_bias is not None:
        parts.append(tensors.linear_bias)
    dtypes = [part.dtype for part in parts]
    if any(dtype not in FLOATING for dtype in dtypes) or len({part.device for part in parts}) > 1:
        return None
    if _autocasts(tensors.input):
        low = torch.get_autocast_dtype(tensors.input.device.type)
        dtypes = [dtype if dtype == torch.float64 else low for dtype in dtypes]
    return dtypes[0] if len(set(dtypes)) == 1 else None


def _layout(tensors: LinearTensors, request: Request, dtype: torch.dtype) -> Layout | None:
    """The layout of the logits of a call that torch would accept, or None: torch says what is wrong with it."""
    input, weight, bias = tensors.input, tensors.linear_weight, tensors.linear_bias
    most = input.dim() if request.sequences else 2
    if not 1 <= input.dim() <= most or weight.dim() < 2 or input.shape[-1] != weight.shape[-1]:
        return None
    outputs = weight.shape[:-1]
    if bias is not None and bias.shape != outputs:
        return None
    if len(outputs) > 1 and (input.dim() != 2 or request.options.shift):
        return None
    if tensors.target.shape == logits_shape(input, weight) and request.ignore_index is not None:
        return None
    scored = tensors.scored(tensors.unmade(dtype))
    options = request.options
    return problem.layout_of("cross_entropy", scored, options, casts=_autocasts(input))


# ---- torch answers -----------------------------------------------------------------------------


def _torch_answers(tensors: LinearTensors, request: Request, owner: str | None) -> Tensor:
    """torch's own function refuses the call, or serves it where it means the same."""
    input = tensors.input
    if request.sequences and owner is None:
        shape = tuple(input.shape)
        raise errors.refuse(
            "XEN056", came=request.options.shift, input_shape=shape, expected=shape[:-1],
            target_shape=errors.describe(tensors.target),
        )  # fmt: skip
    try:
        answer = torchs_own(tensors, request)
    except (*handover.REFUSED_BY_TORCH, AttributeError) as exception:  # torch asks whatever came for its shape
        raise _advised(exception, tensors, request) from None
    reason = owner or "arguments that crossent does not know"
    if not _is_plain(tensors, request):
        beyond = _beyond_torch(tensors)
        raise errors.refuse("XEN042", reason=reason, came=f"{beyond}=" if beyond else "a crossent option")
    _notify(request, tensors.unmade(input.dtype), "torch", reason)
    return answer


def torchs_own(tensors: LinearTensors, request: Request) -> Tensor:
    """torch's own answer to the arguments that torch knows; before torch 2.13 that of F.linear and cross_entropy."""
    options = request.options
    if internals.torch_linear is not None:
        return internals.torch_linear(
            tensors.input, tensors.linear_weight, tensors.target, linear_bias=tensors.linear_bias,
            weight=tensors.weight, reduction=options.reduction, ignore_index=request.ignore_index,
            label_smoothing=options.label_smoothing,
        )  # fmt: skip
    if tensors.input.dim() > 2:
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {tensors.input.dim()}")
    if tensors.linear_weight.dim() != 2 or (tensors.linear_bias is not None and tensors.linear_bias.dim() != 1):
        raise RuntimeError("expected a head (C, H) with a bias (C)")
    if request.ignore_index is not None and tensors.target.is_floating_point():
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    return internals.TORCH["cross_entropy"](
        F.linear(tensors.input, tensors.linear_weight, tensors.linear_bias), tensors.target, tensors.weight,
        ignore_index=options.ignore_index, reduction=options.reduction, label_smoothing=options.label_smoothing,
    )  # fmt: skip


def _advised(exception: Exception, tensors: LinearTensors, request: Request) -> Exception:
    """torch's exception with crossent's lines."""
    input, weight, target = tensors[:3]
    found = _no_tensor(tensors)
    if found is not None:
        code, what = _about_no_tensor(*found)
        return errors.add_advice(exception, code, **what)
    facts: dict[str, object] = {
        "input_shape": tuple(input.shape), "weight_shape": tuple(weight.shape), "ignore_index": request.ignore_index,
    }  # fmt: skip
    if input.dim() > 2:
        return errors.add_advice(exception, "XEN050", **facts)
    if input.dim() < 1 or weight.dim() < 2 or _does_not_fit(tensors):
        return errors.add_advice(exception, "XEN051", features=input.shape[-1] if input.dim() else 1, **facts)
    dtype = products_dtype(tensors)
    if dtype is None:
        parts = [part for part in (input, weight, tensors.linear_bias) if part is not None]
        dtypes = ", ".join(str(part.dtype).removeprefix("torch.") for part in parts)
        return errors.add_advice(exception, "XEN052", dtypes=dtypes)
    if target.shape == logits_shape(input, weight) and request.ignore_index is not None:
        return errors.add_advice(exception, "XEN053", **facts)
    options = request.options
    call = errors.CallFacts(
        function="cross_entropy", input=tensors.unmade(dtype), target=target, weight=tensors.weight,
        ignore_index=options.ignore_index, reduction=options.reduction, label_smoothing=options.label_smoothing,
        came=_came(tensors, request),
    )  # fmt: skip
    return errors.advise(exception, call)


def check_tensors(tensors: LinearTensors, target: str) -> None:
    """Refuse what is no tensor, where torch has no function that would; ``target``: how that argument is called."""
    found = _no_tensor(tensors)
    if found is not None:
        which, value = found
        code, facts = _about_no_tensor(target if which == "target" else which, value)
        raise errors.refuse(code, **facts)


def _no_tensor(tensors: LinearTensors) -> tuple[str, Any] | None:
    """Name and value of the first argument that should be a tensor and is none."""
    given = (*tensors,)  # torch 2.8's Dynamo cannot slice a NamedTuple
    for index in range(5):
        value = given[index]
        if not isinstance(value, Tensor) and (index < 3 or value is not None):
            return LinearTensors._fields[index], value
    return None


def _about_no_tensor(which: str, value: Any) -> tuple[str, dict[str, str]]:
    """Code and facts of the refusal."""
    code = "XEN058" if isinstance(value, torch.nn.Module) else "XEN020"
    return code, {"which": which, "came_type": type(value).__name__}


def _came(tensors: LinearTensors, request: Request) -> str:
    """The call as the user wrote it."""
    function, target = request.shown
    parts = [
        f"{name} {errors.describe(value)}"
        for name, value in zip(("input", "linear_weight", target, "linear_bias", "weight"), tensors, strict=False)
        if value is not None
    ]
    options = request.options
    given = f"ignore_index={options.ignore_index!r}, reduction={options.reduction!r}"
    return f"{function}({', '.join(parts)}, {given})"


def _does_not_fit(tensors: LinearTensors) -> bool:
    input, weight, bias = tensors.input, tensors.linear_weight, tensors.linear_bias
    return (
        input.shape[-1] != weight.shape[-1]
        or (bias is not None and bias.shape != weight.shape[:-1])
        or (weight.dim() > 2 and input.dim() == 1)
    )
