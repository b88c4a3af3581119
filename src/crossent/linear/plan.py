"""How a linear cross entropy is computed: rows per chunk, gradients kept or recomputed, accumulation.

The cost model. Let n be the rows that are read, P = V * d1 * ... * dK the outputs of the head, H its
inputs, b the bytes of an element, c the rows of a chunk and S the classes of a slab::

    multiplications   keep: 3 n P H     recompute: 4 n P H     no gradient: n P H
                      slabs: 4 n P H, or 5 where not even one row fits or upstream gradients are per position
    memory traffic    per chunk the weight is read twice and its gradient read and written once:
                      the smaller c, the more of it; from DEFAULT_ROWS rows on it is hidden by the products
    bytes             c * (P * b + P * scratch(backend) + 2 H * b)             the chunk
                      + PRODUCT_BYTES                what the products keep for themselves, on the CPU
                      + P * H * 4 + TEMPORARY_BYTES  where a 16-bit gradient is accumulated in float32
                      + P * H * b                    where autocast converts the weight
                      + n * ROW_BYTES                numbers per row

Where no gradient is made yet (evaluation, recompute), statistics of tiles are enough: many rows by a slab of the
weight that stays in cache, so that the weight is read once for all of them; a tile takes no more than a chunk.

A budget is spent on rows first, up to DEFAULT_ROWS. Where it does not hold the accumulator of a 16-bit
gradient, slabs of classes are walked with recomputation: the gradient of a slab of the weight is
finished by one product over all rows, so it needs no accumulator. Where not even one row fits, rows are
tiled too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from crossent import errors

# Measured on two cores (``crossent bench linear``): from this many rows on the three products of a chunk run at the
# speed of the whole ones, and below LEAST_ROWS they need a quarter more.
DEFAULT_ROWS = 512
LEAST_ROWS = 256
LEAST_CLASSES, DEFAULT_CLASSES = 256, 4096  # of a slab that holds all rows, of one that does not
WORKSPACE_BYTES = 128 << 20  # what a chunk of more than LEAST_ROWS rows may take
SLAB_BYTES = 6 << 20  # of the weight, of which logits are made at a time (float32): it stays in cache
EVALUATION_ROWS = 2048  # of a tile where statistics are all that is wanted: the weight is read once for so many rows
COPIES_OF_THE_COLUMN = 6  # 16-bit (rows, H) buffers that the targets' column needs while it is added to the sums
TEMPORARY_BYTES = 8 << 20  # a slab of one chunk's 16-bit weight gradient on its way into the float32 accumulator
# What the CPU's matrix products keep for themselves once they have run (a slab of the weight in their order: 7.5 MB
# with float32, 3.5 MB with 16 bits), and what blocks of 2 MB pages are longer than asked; a share of a small budget.
PRODUCT_BYTES, PRODUCT_SHARE = 8 << 20, 1 / 4
ROW_BYTES = 96  # targets, statistics, weights, indices and losses of one row, in float32 and int64

KEEP, RECOMPUTE = "keep", "recompute"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPlan:
    """How to compute a linear cross entropy; None leaves a choice to the library.

    Args:
        rows: rows of logits in one chunk, at least 1.
        gradients: ``"keep"`` makes the gradients in the forward pass (3 matrix products; exact wherever the
            upstream gradient is one number, else they are made again); ``"recompute"`` makes the logits
            again in the backward pass (4 products).
        accumulate: dtype in which the weight's gradient is summed over chunks: float32, float64 or the
            weight's own. Default float32 (float64 for float64), rounded once at the end.
        classes: classes in one slab of the weight's gradient; None: all of them. Fewer need no
            accumulator of the weight's size and 4 products.
        counted: on a CUDA device, ``True`` leaves ignored rows out of the products by a number that they read there
            (``counted.py``: bfloat16, compute capability 9.0 and later); nothing waits, and no ``valid_rows`` is
            needed. Default False until it has been measured. The CPU always leaves them out.

    Example:
        >>> import crossent
        >>> crossent.LinearPlan(rows=256, gradients="recompute")
        LinearPlan(rows=256, gradients='recompute', accumulate=None, classes=None, counted=None)
    """

    rows: int | None = None
    gradients: str | None = None
    accumulate: torch.dtype | None = None
    classes: int | None = None
    counted: bool | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "classes"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise errors.refuse("XEN030", option=f"LinearPlan.{name}", came=value, expected="a positive int")
        if self.gradients not in (None, KEEP, RECOMPUTE):
            expected = "'keep' | 'recompute'"
            raise errors.refuse("XEN030", option="LinearPlan.gradients", came=self.gradients, expected=expected)
        if self.counted not in (None, False, True):
            raise errors.refuse(
                "XEN030", option="LinearPlan.counted", came=self.counted, expected="None, False or True"
            )
        if self.accumulate is not None and self.accumulate not in ACCUMULATE:
            expected = "a floating point dtype"
            raise errors.refuse("XEN030", option="LinearPlan.accumulate", came=self.accumulate, expected=expected)


ACCUMULATE = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A plan with every choice made."""

    rows: int
    keeps: bool
    accumulate: torch.dtype
    classes: int  # of a slab; all of them: no slabs
    whole_rows: int = 0  # with slabs: rows of a chunk that has all classes; 0: not even one row has room
    tile: tuple[int, int] | None = None  # (rows, classes) where only statistics are wanted; None: chunks
    apart: bool = False  # the targets' column is kept in float32 beside 16-bit products (target_column.py)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What the cost model asks of a call."""

    rows: int  # that are read
    inner: int  # D = d1 * ... * dK, 1 for most heads
    classes: int  # V
    features: int  # H
    dtype: torch.dtype  # of the products
    weight_dtype: torch.dtype  # of the caller's weight and so of its gradient
    copies: int  # how many (rows, H) buffers a chunk needs beside the logits: rows gathered, gradient scattered
    scratch: int  # bytes per logit that the backend allocates on top
    wants_weight: bool  # a gradient of the weight is asked for
    may_keep: bool  # gradients made in the forward pass would be the right ones
    filters: bool = False  # filter_eps= is given
    may_tile: bool = True  # no output needs all logits of a row at once
    on_host: bool = False  # where 16-bit products have 16-bit results
    index: bool = False  # targets are class indices
    spelled_out: bool = False  # a part of the row must be told its share of the target class by class (smoothing)

    @property
    def outputs(self) -> int:
        """P = V * D."""
        return self.classes * self.inner

    def apart(self, accumulate: torch.dtype) -> bool:
        """Whether the targets' column is worth a sum of its own: wider sums of 16-bit products."""
        narrow = self.dtype.itemsize == 2 and accumulate != self.dtype
        return self.on_host and self.index and self.wants_weight and narrow

    def accumulator(self, accumulate: torch.dtype) -> int:
        """Bytes of the sums of the weight's gradient that are not the returned gradient itself."""
        bytes = 0
        if self.wants_weight and accumulate != self.weight_dtype:
            bytes += self.outputs * self.features * accumulate.itemsize
        if self.wants_weight and accumulate != self.dtype:
            bytes += min(TEMPORARY_BYTES, self.outputs * self.features * self.dtype.itemsize)
        return bytes

    @property
    def converted(self) -> int:
        """Bytes of the weight in the dtype of the products, where that is not its own."""
        return self.outputs * self.features * self.dtype.itemsize if self.dtype != self.weight_dtype else 0

    @property
    def reordered(self) -> int:
        """How often a 16-bit tile is in memory while it is multiplied transposed: CPU libraries reorder it first."""
        return 2 if self.on_host and self.dtype.itemsize == 2 else 1

    @property
    def numbers(self) -> int:
        """Bytes of what is kept per row, and of what filtering gathers."""
        gathered = 5 * TEMPORARY_BYTES if self.filters else 0
        return self.rows * self.inner * ROW_BYTES + gathered

    def chunk(self, rows: int, classes: int) -> int:
        """Bytes of a chunk of ``rows`` rows by ``classes`` classes."""
        logits = classes * self.inner * (self.dtype.itemsize + self.scratch)
        copies = self.copies + (COPIES_OF_THE_COLUMN if self.apart(torch.float32) else 0)
        return rows * (logits + copies * self.features * self.dtype.itemsize)

    def slab_chunk(self, rows: int, classes: int) -> int:
        """Bytes of a tile whose logits are multiplied transposed and, with smoothing, scored against probabilities."""
        probabilities = 5 * rows * classes * self.inner if self.spelled_out else 0  # float32, and a comparison
        return self.chunk(rows, classes) * self.reordered + probabilities

    def tile_of_statistics(self, rows: int) -> tuple[int, int] | None:
        """(rows, classes) of a tile that takes no more than a chunk of ``rows`` rows: many rows, so that the weight is
        read once for all of them, by as many classes as there is room for: products and statistics take few turns.
        None: chunks of whole rows are needed, or no worse."""
        if not (self.on_host and self.may_tile) or self.spelled_out:
            return None
        most = self.chunk(rows, self.classes)
        slab = SLAB_BYTES // max(1, self.inner * self.features * self.dtype.itemsize)
        least = max(1, min(max(LEAST_CLASSES, slab), self.classes))
        rows = max(1, min(EVALUATION_ROWS, self.rows))
        while rows > 1 and self.chunk(rows, least) > most:
            rows = -(-rows // 2)
        return rows, even(self.classes, max(least, most // max(1, self.chunk(rows, 1))))


def steps(plan: LinearPlan, budget: int | None, sizes: Sizes) -> Steps:
    """Every choice that ``plan`` leaves open, so that the call's own memory stays within ``budget`` bytes."""
    accumulate = plan.accumulate or (torch.float64 if sizes.dtype == torch.float64 else torch.float32)
    keeps = sizes.may_keep and plan.gradients != RECOMPUTE
    classes = min(plan.classes or sizes.classes, max(1, sizes.classes))
    rows = plan.rows or default_rows(sizes)
    known = Steps(
        rows=max(1, min(rows, sizes.rows)), keeps=keeps, accumulate=accumulate, classes=max(1, classes),
        apart=sizes.apart(accumulate),
    )  # fmt: skip
    if known.classes < sizes.classes:
        known = replace(known, rows=max(1, plan.rows or sizes.rows), whole_rows=default_rows(sizes))
    if budget is not None:
        known = within(known, budget, plan, sizes)
    rows = known.whole_rows if known.classes < sizes.classes else known.rows
    return replace(known, tile=sizes.tile_of_statistics(rows)) if rows else known


def default_rows(sizes: Sizes) -> int:
    """DEFAULT_ROWS where WORKSPACE_BYTES hold them, else fewer, but not below LEAST_ROWS; equal chunks."""
    row = max(1, sizes.outputs * sizes.dtype.itemsize)
    most = min(DEFAULT_ROWS, max(LEAST_ROWS, WORKSPACE_BYTES // row))
    return even(sizes.rows, most)


def even(rows: int, most: int) -> int:
    """The rows of a chunk if ``rows`` are split into as few equal chunks of at most ``most`` as there can be."""
    chunks = max(1, -(-rows // most))
    return max(1, -(-rows // chunks))


def within(known: Steps, budget: int, plan: LinearPlan, sizes: Sizes) -> Steps:
    """The same steps with fewer rows, or slabs of classes, until they fit."""
    least = least_bytes(sizes, known.accumulate)
    free = budget - sizes.numbers - sizes.converted
    if sizes.on_host:
        free -= max(0, min(PRODUCT_BYTES, int(PRODUCT_SHARE * (budget - least))))
    if known.classes >= sizes.classes:
        rows = (free - sizes.accumulator(known.accumulate)) // max(1, sizes.chunk(1, sizes.classes))
        if rows >= min(sizes.rows, plan.rows or 1):
            return replace(known, rows=plan.rows or even(sizes.rows, min(rows, known.rows)))
    if not sizes.may_tile or budget < least:
        raise errors.refuse("XEN054", came=budget, expected=least)
    whole = free // max(1, sizes.chunk(1, sizes.classes))
    rows, classes = tile(free, plan.classes or sizes.classes, sizes)
    whole = even(sizes.rows, min(whole, known.rows)) if whole else 0
    return replace(known, rows=rows, classes=min(classes, max(1, sizes.classes - 1)), whole_rows=whole)


def tile(free: int, most: int, sizes: Sizes) -> tuple[int, int]:
    """(rows, classes) of a tile in ``free`` bytes: all rows if LEAST_CLASSES have room, for nothing is summed then."""
    rows = max(1, sizes.rows)
    classes = free // max(1, sizes.slab_chunk(rows, 1))
    if classes >= min(most, LEAST_CLASSES):
        return rows, min(most, classes)
    rows, classes = min(rows, DEFAULT_ROWS), min(most, DEFAULT_CLASSES)
    while tile_bytes(sizes, rows, classes) > free:
        if rows >= classes:
            rows = -(-rows // 2)
        else:
            classes = -(-classes // 2)
    return rows, classes


def tile_bytes(sizes: Sizes, rows: int, classes: int) -> int:
    """Bytes of a tile: its logits and the float32 (float64) sums of both gradients with their temporaries."""
    sums = (rows + classes * sizes.inner) * sizes.features * (8 + sizes.dtype.itemsize)
    return sizes.slab_chunk(rows, classes) + sums


def least_bytes(sizes: Sizes, accumulate: torch.dtype) -> int:
    """The least budget that any plan keeps: one row by one class, or one row where classes cannot be split."""
    if sizes.may_tile:
        return sizes.numbers + sizes.converted + tile_bytes(sizes, 1, 1)
    return sizes.numbers + sizes.converted + sizes.accumulator(accumulate) + sizes.chunk(1, sizes.classes)
