"""From torch's shapes to rows and back.

A call arrives as tensors in one of torch's layouts. Here it becomes a :class:`~crossent.backends.protocol.RowProblem`
(rows of classes, the targets they are scored against) and the answers of a backend become tensors of
the caller's shapes again. All checks of tensors are made here; none copies, computes or synchronises.

Entry ``t`` of the target, of ``sample_weight``, of a per-row ``logit_scale`` and of every per-row
result speak of the same prediction. With ``shift=k`` that prediction is made by the logits at
position ``t - k``: the first ``k`` entries of a sequence are predicted by nothing and count as
ignored, and the last ``k`` positions of the logits are not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossent import errors
from crossent.backends.protocol import RowProblem, Rows, compute_dtype, on_host
from crossent.options import LossOptions, as_python

FLOATING = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


class LossTensors(NamedTuple):
    """The caller's tensors, as they came."""

    input: Tensor
    target: Tensor
    weight: Tensor | None = None
    sample_weight: Tensor | None = None
    denominator: Tensor | float | None = None
    logit_scale: Tensor | float | None = None


def plain_numbers(tensors: Any) -> Any:
    """LossTensors (or LinearTensors) with Python's numbers in place of NumPy's."""
    if tensors.denominator is None and tensors.logit_scale is None:
        return tensors
    return tensors._replace(denominator=as_python(tensors.denominator), logit_scale=as_python(tensors.logit_scale))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the classes and the sequence are in the input, and which result shape follows."""

    shape: tuple[int, ...]  # of the input
    class_dim: int  # non-negative
    shift: int

    @property
    def classes(self) -> int:
        """V."""
        return self.shape[self.class_dim]

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of an index target and of every per-row result."""
        return self.shape[: self.class_dim] + self.shape[self.class_dim + 1 :]

    @property
    def unread(self) -> int:
        """How many entries at the start of each sequence are predicted by nothing: shift, at most the length."""
        return min(self.shift, self.index_shape[-1]) if self.shift else 0

    def narrow_input(self, tensor: Tensor, *, offset: int = 0) -> Tensor:
        """A tensor of the input's shape without the ``shift`` positions that take no part."""
        if not self.shift:
            return tensor
        sequence_dim = len(self.shape) - (2 if self.class_dim == len(self.shape) - 1 else 1)
        return tensor.narrow(sequence_dim, offset, self.shape[sequence_dim] - self.unread)

    def narrow_index(self, tensor: Tensor) -> Tensor:
        """A tensor of the index shape without the entries that nothing predicts."""
        return tensor.narrow(-1, self.unread, self.index_shape[-1] - self.unread) if self.shift else tensor

    def widen_index(self, tensor: Tensor, fill: float | int | bool = 0) -> Tensor:
        """The reverse of :meth:`narrow_index`: entries that nothing predicts hold ``fill``."""
        return torch.nn.functional.pad(tensor, (self.unread, 0), value=fill) if self.shift else tensor

    def rows(self, tensor: Tensor, *, offset: int = 0, row_shape: tuple[int, int] | None = None) -> Tensor:
        """(outer, V, inner) of a tensor of the input's shape: a view wherever strides allow one."""
        tensor = tensor.resolve_neg()  # kernels read memory, where a lazy negation has not been made
        view = self.row_view(tensor, offset=offset, row_shape=row_shape)
        if view is not None:
            return view
        narrow = self.narrow_input(tensor, offset=offset).movedim(self.class_dim, -1)
        if row_shape is None:
            return narrow.reshape(-1, self.classes, 1)
        return narrow.reshape(row_shape[0], row_shape[1], self.classes).movedim(-1, 1)

    def row_view(self, tensor: Tensor, *, offset: int = 0, row_shape: tuple[int, int] | None = None) -> Tensor | None:
        """As :meth:`rows`, or None where only a copy would do (or where (outer, inner) must be ``row_shape``)."""
        narrow = self.narrow_input(tensor, offset=offset)
        outer, inner = narrow.shape[: self.class_dim], narrow.shape[self.class_dim + 1 :]
        attempts = [(narrow, (math.prod(outer), self.classes, math.prod(inner)))]
        if not inner and len(outer) > 1:  # classes last, the sequence strided: (B, T, V) seen as (B, V, T)
            attempts.append((narrow.transpose(-1, -2), (math.prod(outer[:-1]), self.classes, outer[-1])))
        for candidate, shape in attempts:
            if row_shape is not None and (shape[0], shape[2]) != row_shape:
                continue
            try:
                return candidate.view(shape)
            except RuntimeError:
                continue
        return None

    def from_row_view(self, rows: Tensor, dtype: torch.dtype, *, offset: int = 0) -> Tensor:
        """A tensor of the input's shape from an (outer, V, inner) one; zeros where no row lies."""
        shape = self.narrow_input(torch.empty(self.shape, device="meta")).movedim(self.class_dim, -1).shape
        narrow = rows.movedim(1, -1).reshape(shape).movedim(-1, self.class_dim).to(dtype)
        if not self.shift:
            return narrow
        full = rows.new_zeros(self.shape, dtype=dtype)
        self.narrow_input(full, offset=offset).copy_(narrow)
        return full

    def zero_unread(self, full: Tensor) -> None:
        """Zero the positions of a gradient that no row covers (the last ``shift`` of each sequence)."""
        if self.shift:
            sequence_dim = len(self.shape) - (2 if self.class_dim == len(self.shape) - 1 else 1)
            full.narrow(sequence_dim, full.shape[sequence_dim] - self.unread, self.unread).zero_()

    def per_row(self, tensor: Tensor, row_shape: tuple[int, int]) -> Tensor:
        """(outer, inner) of a tensor of the index shape."""
        return self.narrow_index(tensor).reshape(row_shape).resolve_neg()

    def from_rows(self, tensor: Tensor, fill: float | int | bool = 0) -> Tensor:
        """The index shape of an (outer, inner) answer."""
        shape = self.index_shape
        if self.shift:
            shape = (*shape[:-1], shape[-1] - self.unread)
        return self.widen_index(tensor.reshape(shape), fill)


def is_probability(function: str, tensors: LossTensors) -> bool:
    """torch's rule: a target of the input's own shape holds class probabilities."""
    return function == "cross_entropy" and tensors.target.shape == tensors.input.shape


def layout_of(function: str, tensors: LossTensors, options: LossOptions, *, casts: bool = False) -> Layout | None:
    """The layout of a call that torch would accept, or None: torch says what is wrong with it.

    ``casts``: an autocast region is on, where torch converts a half-precision weight itself.
    """
    input, target, weight = tensors.input, tensors.target, tensors.weight
    if input.dtype not in FLOATING or input.dim() == 0 or input.layout is not torch.strided:
        return None
    if target.device != input.device or not _plain_options(options):
        return None
    layout = Layout(tuple(input.shape), _class_axis(input, options.class_dim), options.shift)
    fits = _fits_probability if is_probability(function, tensors) else _fits_index
    return layout if fits(layout, input, target, weight, options, casts) else None


def _plain_options(options: LossOptions) -> bool:
    return (
        type(options.ignore_index) is int
        and options.reduction in ("mean", "sum", "none")
        and isinstance(options.label_smoothing, (int, float))
        and not options.label_smoothing > 1
    )


def _class_axis(input: Tensor, class_dim: int | None) -> int:
    if class_dim is not None and not -input.dim() <= class_dim < input.dim():
        expected = f"class_dim in [{-input.dim()}, {input.dim() - 1}]"
        raise errors.refuse("XEN036", came=class_dim, dimensions=input.dim(), expected=expected)
    return errors.class_axis(input, class_dim)


def _fits_probability(
    layout: Layout, input: Tensor, target: Tensor, weight: Tensor | None, options: LossOptions, casts: bool
) -> bool:
    return (
        target.dtype in FLOATING
        and options.ignore_index < 0
        and (
            weight is None
            or (_is_real(weight) and weight.device == input.device and tuple(weight.shape) == (layout.classes,))
        )
    )


def _is_real(weight: Tensor) -> bool:
    """Numbers that promote with floating ones; torch takes class weights of any such dtype with probabilities."""
    return weight.dtype in FLOATING or not (weight.is_floating_point() or weight.is_complex())


def _fits_index(
    layout: Layout, input: Tensor, target: Tensor, weight: Tensor | None, options: LossOptions, casts: bool
) -> bool:
    shape = layout.index_shape
    if target.dtype != torch.int64 and not (target.dtype == torch.uint8 and len(layout.shape) <= 2):
        return False
    if tuple(target.shape) != shape and not (shape == () and tuple(target.shape) == (1,)):
        return False
    if weight is None:
        return True
    same_dtype = weight.dtype == input.dtype or (casts and torch.float64 not in (weight.dtype, input.dtype))
    right_shape = weight.numel() == layout.classes and (weight.dim() == 1 or _takes_any_weight(layout, weight, options))
    return same_dtype and right_shape and weight.device == input.device and not _differentiates(weight)


def _takes_any_weight(layout: Layout, weight: Tensor, options: LossOptions) -> bool:
    """With K dimensions torch only counts a weight's numbers, until its label smoothing broadcasts them."""
    if options.label_smoothing > 0 and (options.reduction == "mean" or weight.shape[:1] != (layout.classes,)):
        return False
    return len(layout.shape) > 2


def _differentiates(tensor: Tensor) -> bool:
    return tensor.requires_grad and torch.is_grad_enabled()


def check_extras(tensors: LossTensors, options: LossOptions, layout: Layout) -> None:
    """Refuse crossent's own tensor options where they do not fit."""
    if layout.shift and not layout.index_shape:
        raise errors.refuse("XEN035", came=layout.shift, shape=layout.index_shape)
    sample_weight, scale, denominator = tensors.sample_weight, tensors.logit_scale, tensors.denominator
    if sample_weight is not None:
        check_per_row("sample_weight", sample_weight, layout.index_shape, tensors.input)
    if scale is not None:
        check_scale(scale, layout.index_shape, tensors.input)
    if denominator is not None:
        check_denominator(denominator, options.reduction)
    if options.inplace:
        check_inplace(tensors.input)


def check_inplace(input: Tensor) -> None:
    """Refuse to write over a leaf that needs a gradient, or over elements that are shared."""
    if input.is_neg():
        raise errors.refuse("XEN043", came="it is negated lazily")
    base = input if input._base is None else input._base  # pyright: ignore[reportPrivateUsage]
    if base.is_leaf and _differentiates(base):
        raise errors.refuse("XEN043", came="it is (a view of) a leaf that requires a gradient")
    if input.numel() == 0:
        return
    reach = 0  # of all dimensions with smaller strides
    for stride, size in sorted(zip(input.stride(), input.shape, strict=True)):
        if size > 1 and stride <= reach:
            raise errors.refuse("XEN043", came=f"elements overlap (strides {input.stride()})")
        reach += stride * (size - 1)


def check_scale(scale: object, shape: tuple[int, ...], input: Tensor) -> None:
    """logit_scale: a finite number, a 0-d tensor, or one number per row."""
    if isinstance(scale, Tensor):
        if scale.dim():
            check_per_row("logit_scale", scale, shape, input)
    elif isinstance(scale, bool) or not isinstance(scale, (int, float)) or not -math.inf < scale < math.inf:
        expected = f"a finite number, a 0-d tensor or a tensor of shape {shape}"
        raise errors.refuse("XEN030", option="logit_scale", came=scale, expected=expected)


def check_per_row(name: str, value: object, shape: tuple[int, ...], input: Tensor) -> None:
    """A floating (or bool, or integer) tensor of the index target's shape."""
    if not isinstance(value, Tensor) or tuple(value.shape) != shape or value.is_complex():
        raise errors.refuse("XEN034", option=name, came=errors.describe(value), expected=shape)
    if value.device != input.device:
        raise errors.refuse("XEN034", option=name, came=f"on {value.device}", expected=shape)


def check_denominator(denominator: object, reduction: str) -> None:
    if reduction != "mean":
        raise errors.refuse("XEN032", came=reduction)
    if isinstance(denominator, Tensor):
        if denominator.numel() != 1 or denominator.is_complex() or denominator.requires_grad:
            suffix = " that requires a gradient" if denominator.requires_grad else ""
            raise errors.refuse("XEN033", came=errors.describe(denominator) + suffix)
    elif isinstance(denominator, bool) or not isinstance(denominator, (int, float)) or not 0 <= denominator < math.inf:
        raise errors.refuse("XEN033", came=errors.describe(denominator))


def result_dtype(tensors: LossTensors, options: LossOptions, *, probability: bool, casts: bool) -> torch.dtype:
    """The dtype of the result: torch's, unless ``out_dtype`` says another."""
    if options.out_dtype is not None:
        return options.out_dtype
    dtype = tensors.input.dtype
    if probability:
        dtype = torch.promote_types(dtype, tensors.target.dtype)
        if tensors.weight is not None:
            dtype = torch.promote_types(dtype, tensors.weight.dtype)
    return torch.float32 if casts and dtype != torch.float64 else dtype


def row_problem(tensors: LossTensors, options: LossOptions, layout: Layout, *, function: str) -> RowProblem:
    """The rows of a call and what they are scored against."""
    logits = layout.rows(tensors.input)
    row_shape = (logits.shape[0], logits.shape[2])
    probability = is_probability(function, tensors)
    if probability:
        target = layout.rows(tensors.target, offset=layout.unread, row_shape=row_shape)
    else:
        target = layout.per_row(tensors.target, row_shape).to(torch.int64)
    # The logits' dtype decides the arithmetic, whatever that of the probabilities is; the result alone is promoted.
    compute = compute_dtype(logits.dtype)
    weight = tensors.weight
    smoothing = max(0.0, float(options.label_smoothing)) if options.label_smoothing > 0 else 0.0
    scaled = _rows(logits, tensors.logit_scale, options.softcap, layout)
    return RowProblem(
        logits=logits,
        logit_scale=scaled.logit_scale,
        softcap=scaled.softcap,
        target=target,
        skip=None if probability else options.ignore_index,
        class_weight=None if weight is None or not layout.classes else _vector(weight, compute),
        on=1.0 - smoothing,
        off=smoothing / layout.classes if layout.classes else 0.0,
        z_loss=float(options.z_loss),
        normalised=function == "nll_loss",
    )


def _vector(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The numbers of a tensor as they are to lie in memory."""
    return tensor.reshape(-1).to(dtype).resolve_neg().contiguous()


def _rows(logits: Tensor, scale: Tensor | float | None, softcap: float | None, layout: Layout) -> Rows:
    row_shape = (logits.shape[0], logits.shape[2])
    if isinstance(scale, Tensor):
        scale = scale.to(compute_dtype(logits.dtype))
        scale = layout.per_row(scale, row_shape) if scale.dim() else scale.resolve_neg().expand(row_shape)
        return Rows(logits=logits, logit_scale=scale.contiguous(), softcap=softcap)
    return Rows(logits=logits, logit_scale=1.0 if scale is None else float(scale), softcap=softcap)


def rows_of(input: Tensor, scale: Tensor | float | None, softcap: float | None, layout: Layout) -> Rows:
    """The rows of a log_softmax."""
    return _rows(layout.rows(input), scale, softcap, layout)


def number_on(value: Tensor | float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A number as a 0-d tensor on a device, without a transfer that would wait for it."""
    if isinstance(value, Tensor) and (value.device.type == device.type or not on_host(value)):
        return value.detach().to(device, dtype).reshape(())
    return torch.full((), float(value), dtype=dtype, device=device)


def share_of_rows(problem: RowProblem) -> Tensor:
    """Each row's own share in torch's denominator of a mean: w_y, 0 where not read, 1 for probabilities."""
    dtype = problem.compute_dtype
    if not problem.is_index:
        return torch.ones(problem.row_shape, dtype=dtype, device=problem.logits.device)
    counted = problem.target != problem.skip
    if problem.class_weight is None:
        return counted.to(dtype)
    safe = torch.where(counted, problem.target, 0).clamp(0, problem.classes - 1)  # not on the CPU: NaN rows, no error
    return torch.where(counted, problem.class_weight[safe], 0.0)
