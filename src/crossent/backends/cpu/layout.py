"""Where rows lie in memory, as kernels are told it: named tuples of integers. (No Numba here.)

A tensor of rows is ``(outer, V, inner)`` with any strides; one number of each row is at
``row = o * row_outer + i * row_inner``.
"""

from __future__ import annotations

import struct
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

    first: int  # the two are not packed: they change from part to part of one call
    last: int
    inner: int
    classes: int
    row_outer: int
    row_inner: int
    lanes: int  # rows_inner: rows of a tile; 0 in rows_last


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


def pack(grid: Grid, *parts: Place | Given | int, numbers: Numbers, columns: Columns, flags: Flags) -> bytes:
    """The arguments of a kernel as 64-bit words, in this order: see ``places.py``."""
    words = [*grid[2:]]
    for part in parts:
        if isinstance(part, int):
            words.append(part)
        else:
            words.extend(part)
    words += (*columns, *flags)
    return struct.pack(f"{len(words)}q{len(numbers)}d", *words, *numbers)


NOWHERE = Place(0, FLOAT32, 0, 0, 0)


def place_of(tensor: Tensor) -> Place:
    """The place of an ``(outer, V, inner)`` tensor."""
    return Place(tensor.data_ptr(), KIND[tensor.dtype], *tensor.stride())


def index_place(target: Tensor) -> Place:
    """The place of ``(outer, inner)`` class indices."""
    outer, inner = target.stride()
    return Place(target.data_ptr(), INT64, outer, 0, inner)


def stored_in(dtype: torch.dtype, compute: torch.dtype) -> bool:
    """Whether kernels of a compute type read and write tensors of ``dtype``."""
    return dtype in KIND and (dtype == torch.float64) == (compute == torch.float64)


# Shorter rows do not fill the vectors of rows_last (48 classes: 33 ns per 16 elements in either kernel; 10: 160 against
# 36); they are worked on across rows.
SHORT_ROW = 48
# Fewer rows next to each other than this do not fill a vector of rows_inner.
MIN_LANES = 16
# A tile (lanes x V, in the compute type) should stay in L2 with room for what streams past it.
TILE_BYTES = 384 << 10
MAX_LANES = 512
# With so few classes that this many lanes fit into L1, no more than these: (8,21,512,512) takes 14.8 ms, with twice as
# many 18.3.
FEW_LANES, L1_BYTES = 128, 32 << 10


# Classes of a block of rows_last: 32 lines, as many as a core can have under way, so one block is
# prefetched while exp works on the one before.
BLOCK = 512
PAD = 64  # blocks are padded to four vectors of 16, one step of a loop
VECTORS = 24  # vectors of one number per lane that a tile of rows_inner needs besides its classes


def scratch_last(classes: int, rows_kept: int) -> int:
    """Elements of working memory for rows_last: three blocks, a reference per block, whole rows."""
    return 3 * BLOCK + classes // BLOCK + 2 * PAD + rows_kept * (classes + PAD)


class Arrangement(NamedTuple):
    """Which way a call goes through its rows.

    across_rows: kernels of rows_inner (a lane per row), else of rows_last (row by row).
    joined: outer and inner are one dimension in memory. swapped: lanes run along outer.
    """

    across_rows: bool
    joined: bool
    swapped: bool


def arrange(shape: tuple[int, int, int], strides: tuple[int, int, int], joined: bool) -> Arrangement:
    """The arrangement for logits of these strides. joined: every tensor allows that."""
    outer, classes, inner = shape
    by_outer, by_class, by_inner = strides
    if joined and inner > 1:
        outer, inner = 1, outer * inner
    if inner == 1 or (by_inner != 1 and by_outer == 1) or inner < MIN_LANES <= outer:
        swapped, rows, by_row = True, outer, by_outer
    else:
        swapped, rows, by_row = False, inner, by_inner
    if by_class == 1 or by_class < by_row:
        across_rows = classes < SHORT_ROW and rows >= MIN_LANES
    else:
        across_rows = rows > 1
    # A class index must be exact as a float32.
    return Arrangement(across_rows and classes < 1 << 24, joined, swapped)


def can_join(shape: tuple[int, ...], places: tuple[Place, ...]) -> bool:
    """Whether (outer, inner) is one dimension of the inner stride in every tensor."""
    outer, inner = shape[0], shape[-1]
    return all(outer == 1 or inner == 1 or place.outer == inner * place.inner for place in places if place.address)


def lanes_for(classes: int, rows: int, item_bytes: int, tiles: int) -> int:
    """Rows of a tile: a power of two from 16 on (150 classes: 512 lanes take 50 ms, 432 take 59)."""
    lane_bytes = max(classes * tiles, 1) * item_bytes
    most = FEW_LANES if lane_bytes * FEW_LANES <= L1_BYTES else min(TILE_BYTES // lane_bytes, MAX_LANES)
    lanes = 16
    while lanes * 2 <= most and lanes < rows:
        lanes *= 2
    return lanes
