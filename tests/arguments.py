"""From a Case to tensors: the same ones every time, made in the low dtype so that widening them is exact."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cases import Case

DIFFERENTIABLE = ("sample_weight", "logit_scale")
INF, NAN = float("inf"), float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The tensors of a call and its keyword arguments (without ``backend``)."""

    input: Tensor
    target: Tensor | None  # None: log_softmax
    keywords: dict[str, Any]

    @property
    def leaves(self) -> dict[str, Tensor]:
        """The tensors that a gradient is asked for, by name."""
        known = {"input": self.input, "target": self.target}
        known |= {name: self.keywords.get(name) for name in DIFFERENTIABLE}
        return {name: value for name, value in known.items() if isinstance(value, Tensor) and value.requires_grad}

    def widened(self) -> Arguments:
        """The same numbers in float64, results too; leaves of their own."""
        wide = {name: _widen(value) for name, value in self.keywords.items()}
        for name in ("out_dtype", "dtype"):
            wide.pop(name, None)
        return Arguments(input=_widen(self.input), target=_widen(self.target), keywords=wide)

    def on(self, device: str) -> Arguments:
        """The same call on a device: the same numbers, strides and gaps."""
        if device == "cpu":
            return self
        there = {name: on_device(value, device) for name, value in self.keywords.items()}
        return Arguments(input=on_device(self.input, device), target=on_device(self.target, device), keywords=there)

    def detached(self) -> Arguments:
        """New leaves over the same memory."""
        fresh = {name: _fresh(value) for name, value in self.keywords.items()}
        return Arguments(input=_fresh(self.input), target=_fresh(self.target), keywords=fresh)


def _widen(value: Any) -> Any:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return value.detach().double().requires_grad_(value.requires_grad)


def _fresh(value: Any) -> Any:
    return value.detach().requires_grad_(value.requires_grad) if isinstance(value, Tensor) else value


def on_device(value: Any, device: str) -> Any:
    """A tensor with its memory, so that strides, offsets and what lies in between stay; a leaf of its own."""
    if not isinstance(value, Tensor):
        return value
    flat = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage())  # type: ignore[call-overload]
    there = flat.to(device).as_strided(value.shape, value.stride(), value.storage_offset())
    return there.detach().requires_grad_(value.requires_grad)


def class_axis(case: Case) -> int:
    """The class dimension of the input, non-negative."""
    dim = case.options.get("class_dim", case.options.get("dim"))
    if dim is None:
        return min(1, len(case.shape) - 1)
    return dim % len(case.shape)


def index_shape(case: Case) -> tuple[int, ...]:
    """The input's shape without its classes."""
    axis = class_axis(case)
    return case.shape[:axis] + case.shape[axis + 1 :]


def make(case: Case) -> Arguments:
    """The tensors of a case."""
    generator = torch.Generator().manual_seed(zlib.crc32(case.name.encode()))
    rows, classes = index_shape(case), case.shape[class_axis(case)]
    logits = torch.randn(*rows, classes, generator=generator, dtype=torch.float64).mul_(2).to(case.dtype)
    labels = torch.randint(0, max(1, classes), rows, generator=generator)
    ignore_index = case.options.get("ignore_index", -100)
    if case.ignored and not case.target.startswith("prob"):
        labels = torch.where(torch.rand(rows, generator=generator) < case.ignored, ignore_index, labels)
    target = labels.to(torch.uint8) if case.target == "uint8" else labels
    if case.target == "probabilities":
        target = torch.randn(*rows, classes, generator=generator).softmax(-1).to(case.target_dtype or case.dtype)
    flat = (labels.numel(), classes)
    VALUES[case.values](logits.view(flat), target.view(-1), target.view(flat) if _is_rows(case) else None)
    keywords = dict(case.options)
    for name in case.tensors:
        key, value = TENSORS[name](rows, classes, case.dtype, generator)
        if key in DIFFERENTIABLE and value.is_floating_point():
            value = _strided(value, case.others).requires_grad_()
        keywords[key] = value if value.requires_grad else _strided(value, case.others)
    axis = class_axis(case)
    if _is_rows(case):
        target = target.movedim(-1, axis).contiguous()
    target = _strided(target, case.others)
    return Arguments(
        input=STRIDES[case.strides](logits.movedim(-1, axis).contiguous(), axis).requires_grad_(),
        target=None if case.function == "log_softmax" else target.requires_grad_(_is_rows(case)),
        keywords=keywords,
    )


def upstream(case: Case, like: Tensor, step: int, name: str) -> Tensor:
    """An upstream gradient of an output: step 0 is 1 for a 0-d loss."""
    if like.dim() == 0 and step == 0:
        return torch.ones_like(like)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{case.name} {name} {step}".encode()))
    gradient = torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.dtype)
    return _strided(gradient, case.others)


def _is_rows(case: Case) -> bool:
    return case.target == "probabilities"


def _strided(tensor: Tensor, others: str) -> Tensor:
    return step2(tensor, tensor.dim() - 1) if others == "strided" and tensor.dim() else tensor


# ---- tensor options: name -> (keyword, tensor)

Make = Callable[[tuple[int, ...], int, torch.dtype, torch.Generator], tuple[str, Tensor]]


def _positive(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=generator, dtype=torch.float64) + 0.25).to(dtype)


def _some(value: float, tensor: Tensor) -> Tensor:
    tensor.view(-1)[::2] = value
    return tensor


TENSORS: dict[str, Make] = {
    "weight": lambda rows, v, dtype, g: ("weight", _positive((v,), dtype, g)),
    "weight_some_zero": lambda rows, v, dtype, g: ("weight", _some(0, _positive((v,), dtype, g))),
    "weight_some_infinite": lambda rows, v, dtype, g: ("weight", _some(INF, _positive((v,), dtype, g))),
    "weight_zero": lambda rows, v, dtype, g: ("weight", torch.zeros(v, dtype=dtype)),
    "sample_weight": lambda rows, v, dtype, g: ("sample_weight", _positive(rows, dtype, g)),
    "sample_weight_some_zero": lambda rows, v, dtype, g: ("sample_weight", _some(0, _positive(rows, dtype, g))),
    "sample_weight_zero": lambda rows, v, dtype, g: ("sample_weight", torch.zeros(rows, dtype=dtype)),
    "sample_weight_signed": lambda rows, v, dtype, g: ("sample_weight", torch.randn(rows, generator=g).to(dtype)),
    "sample_weight_bool": lambda rows, v, dtype, g: ("sample_weight", torch.rand(rows, generator=g) < 0.7),
    "logit_scale_0d": lambda rows, v, dtype, g: ("logit_scale", torch.tensor(0.8125, dtype=dtype)),
    "logit_scale_rows": lambda rows, v, dtype, g: ("logit_scale", _positive(rows, dtype, g)),
    "denominator": lambda rows, v, dtype, g: ("denominator", torch.tensor([3.5], dtype=dtype)),
}


# ---- values: fill(logits (N, V), flat target, probabilities (N, V) or None), in place

Fill = Callable[[Tensor, Tensor, "Tensor | None"], None]


def _normal(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    pass


def _log_probs(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    logits.copy_(logits.double().log_softmax(-1))


def _minus_inf_elsewhere(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    """Row 0: one class left. Row 1: every second class -inf. Row 2: all but the last two (where V allows)."""
    if probabilities is None:
        target[:3] = torch.tensor([0, 0, logits.shape[1] - 1])
    for row, gone in enumerate((slice(1, None), slice(1, None, 2), slice(0, -2))):
        logits[row, gone] = -INF
        if probabilities is not None:
            probabilities[row, gone] = 0


def _at_target(value: float) -> Fill:
    """Rows 0 to 2: this value on the target (probabilities: on the first, middle and last class)."""

    def fill(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
        classes = logits.shape[1]
        for row, column in enumerate((0, classes // 2, classes - 1)):
            logits[row, column] = value
            if probabilities is None:
                target[row] = column

    return fill


def _rows_of(value: float) -> Fill:
    """Rows 0 and 2 hold nothing but this value."""

    def fill(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
        logits[0] = value
        logits[2] = value

    return fill


def _somewhere(value: float, *columns: int) -> Fill:
    """One value in a few rows, off the target."""

    def fill(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
        classes = logits.shape[1]
        for row, column in enumerate(columns):
            logits[row, column] = value
            if probabilities is None:
                target[row] = (column + 1) % classes

    return fill


def _equal(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    logits.copy_(logits[:, :1].clone())


def _offset(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    logits[::2] += 1e4
    logits[1::2] -= 1e4


def _huge(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    logits.mul_(1e30 if logits.dtype != torch.float16 else 1e4)
    logits[1] = logits[1].sign() * 1e35 if logits.dtype != torch.float16 else 6e4


def _subnormal(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    """Logits that are subnormal numbers, and rows whose far classes have subnormal probabilities."""
    logits[0] *= torch.finfo(logits.dtype).tiny / 8
    logits[1, ::2] -= 90.0  # exp(-90) is below the smallest normal float32
    logits[2, 1:] -= 800.0


def _ignored_nan(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    assert probabilities is None
    target[:4] = -100
    logits[0, 0], logits[1], logits[2], logits[3, -1] = NAN, -INF, INF, INF


def _mixed(logits: Tensor, target: Tensor, probabilities: Tensor | None) -> None:
    """One row of each kind, so that a row can spoil its neighbours."""
    _at_target(-INF)(logits, target, probabilities)
    logits[3, 0], logits[4, -1], logits[5] = NAN, INF, -INF
    if probabilities is None:
        target[6] = -100
        logits[6] = NAN


VALUES: dict[str, Fill] = {
    "normal": _normal, "log_probs": _log_probs, "minus_inf_elsewhere": _minus_inf_elsewhere,
    "minus_inf_target": _at_target(-INF), "all_minus_inf": _rows_of(-INF), "plus_inf": _somewhere(INF, 0, 2, -1),
    "plus_inf_target": _at_target(INF), "nan": _somewhere(NAN, 0, 2, 3), "nan_last": _somewhere(NAN, -1, -2),
    "equal": _equal, "zeros": _rows_of(0.0), "offset_1e4": _offset, "huge": _huge, "subnormal": _subnormal,
    "ignored_nan": _ignored_nan, "mixed": _mixed,
}  # fmt: skip


# ---- strides of the input: (contiguous tensor, class axis) -> the same numbers elsewhere in memory


def step2(tensor: Tensor, dim: int) -> Tensor:
    """Every second entry of a tensor twice as long along ``dim``; NaN (or -1) in between."""
    shape = list(tensor.shape)
    shape[dim] = 2 * shape[dim]
    filler = NAN if tensor.is_floating_point() else 1
    wide = torch.full(shape, filler, dtype=tensor.dtype)
    view = wide.unflatten(dim, (-1, 2)).select(dim + 1, 0)
    view.copy_(tensor)
    return view


def _sliced(tensor: Tensor, axis: int) -> Tensor:
    """A window with a margin of NaN on every side: an offset, and rows longer than their classes."""
    wide = torch.full([size + 2 for size in tensor.shape], NAN, dtype=tensor.dtype)
    view = wide[tuple(slice(1, -1) for _ in tensor.shape)]
    view.copy_(tensor)
    return view


def _expanded(tensor: Tensor, dim: int) -> Tensor:
    return tensor.narrow(dim, 0, 1).expand(tensor.shape)


STRIDES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "contiguous": lambda tensor, axis: tensor,
    "transposed": lambda tensor, axis: tensor.movedim(axis, 0).contiguous().movedim(0, axis),
    "sliced": _sliced,
    "step2": lambda tensor, axis: step2(tensor, 0 if axis else tensor.dim() - 1),
    "step2_classes": step2,
    "expanded": lambda tensor, axis: _expanded(tensor, 0 if axis else tensor.dim() - 1),
    "expanded_classes": _expanded,
    "channels_last": lambda tensor, axis: tensor.contiguous(memory_format=torch.channels_last),
}


def with_input(arguments: Arguments, input: Tensor) -> Arguments:
    """The same call on other logits."""
    return replace(arguments, input=input)
