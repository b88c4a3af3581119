"""Where rows lie in memory, as kernels are told it: named tuples of integers. (No Numba here.)

A tensor of rows is ``(outer, V, inner)`` with any strides; one number of each row is at
``row = o * row_outer + i * row_inner``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Codes of the storage types: kernels branch on them once per block.
FLOAT32, BFLOAT16, FLOAT16, FLOAT64, INT64 = 0, 1, 2, 3, 4
KIND = {
    torch.float32: FLOAT32,
    torch.bfloat16: BFLOAT16,
    torch.float16: FLOAT16,
    torch.float64: FLOAT64,
    torch.int64: INT64,
}


class Place(NamedTuple):
    """A row-shaped tensor: address, storage type and strides in elements. Address 0: there is none."""

    address: int
    kind: int
    outer: int
    across: int
    inner: int


class Grid(NamedTuple):
    """The rows of one call (of one thread): tiles or rows ``first .. last`` of ``outer x inner``."""

    first: int
    last: int
    inner: int
    classes: int
    row_outer: int
    row_inner: int


class Numbers(NamedTuple):
    """What scales a row: the fields of RowProblem, and ``factor`` of row_loss_and_grad."""

    on: float
    off: float
    z_loss: float
    scale: float
    softcap: float  # 0: none
    factor: float


class Columns(NamedTuple):
    """Addresses of per-class and per-row vectors in the compute type. 0: ones."""

    weight: int
    row_scale: int
    row_factor: int


class Flags(NamedTuple):
    skip: int
    has_skip: int
    past_caches: int  # write around the caches: the result is larger than them
    tilt: int


class Given(NamedTuple):
    """Addresses of per-row vectors in the compute type: statistics, coefficients (stats.GradCoefficients)
    and the result ``scale`` (0: not wanted). ``bend`` 0: none."""

    max: int
    log_sum: int
    soft: int
    hard: int
    bend: int
    scale: int


NOWHERE = Place(0, FLOAT32, 0, 0, 0)


def place_of(tensor: Tensor) -> Place:
    """The place of an ``(outer, V, inner)`` tensor."""
    return Place(tensor.data_ptr(), KIND[tensor.dtype], *tensor.stride())


def index_place(target: Tensor) -> Place:
    """The place of ``(outer, inner)`` class indices."""
    outer, inner = target.stride()
    return Place(target.data_ptr(), INT64, outer, 0, inner)
