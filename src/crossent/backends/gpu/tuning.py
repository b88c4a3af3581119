"""How large tiles are: the one place where sizes are chosen. No Triton here.

The reasons, to be measured on each kind of GPU (nothing here was: ``make gpu-bench``):

* A thread holds 32 classes of what stays in registers (they become float32): 512 threads hold 16384 in 64 registers
  each, so that two rows are under way on a multiprocessor and one is read while the other is written.
* Longer rows are read in steps and stay in L1 (a row of 100 KB) or L2 (two rows a multiprocessor) until the second
  read; their first classes stay in registers all the same.
* Many short rows share a program.
* With fewer programs than twice the multiprocessors, the classes of a row are shared by several programs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from crossent.backends.gpu.layout import Arrangement, boundary_elements, classes_first


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in classes (elements of tiles)."""

    kept: int = 16384  # longest row that stays in registers as a whole
    kept_of_longer: int = 8192  # of a longer one
    step: int = 8192
    tile: int = 4096  # elements of a tile of several rows
    lanes: int = 64  # rows of a tile whose rows are neighbours in memory
    edges_from: int = 256  # shorter rows are read without regard to boundaries
    share_from: int = 16384  # shortest row whose classes programs share
    share: int = 4096  # least classes of a program that shares a row
    parts: int = 64  # most programs of a row
    programs_per_processor: int = 2
    threads: int = 512
    elements_per_thread: int = 32
    elements_per_thread_across: int = 8  # in a tile of several rows: each has a 64-bit address of its own


LIMITS = Limits()


class Tile(NamedTuple):
    """What a kernel is specialised to (rows.py) and how it is launched."""

    rows: int
    kept: int
    step: int  # 0: the row is kept as a whole
    group: int
    edge: int
    warps: int
    parts: int = 1  # programs of a row
    span: int = 0  # classes of each

    @property
    def half(self) -> int:
        """The step of a kernel that keeps nothing of a row, and holds twice as much of each class."""
        return max(1, (self.step or self.kept) // 2)


def power_of_two(number: int) -> int:
    """The smallest power of two that is no less."""
    return 1 << max(0, number - 1).bit_length()


def tile_for(
    classes: int, rows: Arrangement, *, wide: bool, warp: int, heavy: int = 0, limits: Limits | None = None
) -> Tile:
    """The tile of a kernel that reads rows of this many classes. ``warp``: threads of one. ``heavy``: how many
    kinds of numbers beside the logits are under way; for each, a thread holds half as many classes of a long row."""
    known = LIMITS if limits is None else limits
    if wide:
        known = _of_wide(known)
    whole = power_of_two(classes)
    place = rows.places[0]
    if not classes_first(place):
        return _across(whole, rows, warp, heavy, known)
    elements = boundary_elements(place)
    edge = elements if classes >= known.edges_from and not _is_aligned(rows, classes) else 0
    if whole > known.kept:
        less = heavy + (place.tensor.element_size() > 2)  # what is loaded takes registers too
        step = max(1, known.step >> less)
        first = max(1, min(known.step, known.kept_of_longer) >> less)
        group = max(1, min(elements, step))
        return Tile(1, first, step, group, edge, _warps(2 * known.step, warp, known))
    lanes = 1 if edge else max(1, min(known.tile // whole, power_of_two(rows.lanes)))
    if lanes > 1:
        known = replace(known, elements_per_thread=max(1, known.elements_per_thread_across >> (heavy > 1)))
    return Tile(lanes, whole, 0, 1, edge, _warps(lanes * whole, warp, known))


def _of_wide(known: Limits) -> Limits:
    """For float64: numbers take two registers each, and what is computed of them more than twice as many."""
    return replace(
        known,
        kept=max(1, known.kept // 4),
        kept_of_longer=max(1, known.kept_of_longer // 8),
        step=max(1, known.step // 8),
        tile=max(1, known.tile // 8),
        lanes=max(1, known.lanes // 2),
        threads=max(1, known.threads // 4),
        elements_per_thread=max(1, known.elements_per_thread // 4),
        elements_per_thread_across=max(1, known.elements_per_thread_across // 2),
    )


def _across(whole: int, rows: Arrangement, warp: int, heavy: int, known: Limits) -> Tile:
    """Rows next to each other: a few classes of many rows."""
    lanes = min(known.lanes, power_of_two(rows.lanes))
    kept = max(1, (known.tile >> heavy) // lanes)
    across = replace(known, elements_per_thread=max(1, known.elements_per_thread_across >> heavy))
    if whole <= kept:
        return Tile(lanes, whole, 0, 1, 0, _warps(lanes * whole, warp, across))
    return Tile(lanes, kept, kept, kept, 0, _warps(lanes * kept, warp, across))


def _is_aligned(rows: Arrangement, classes: int) -> bool:
    """Whether every row starts and ends at a boundary, and Triton knows it: it looks for multiples of 16."""
    place = rows.places[0]
    numbers = (place.tensor.data_ptr(), place.outer, place.lane, classes)
    return all(number % 16 == 0 for number in numbers)


def _warps(elements: int, warp: int, known: Limits) -> int:
    threads = max(warp, min(known.threads, elements // known.elements_per_thread))
    return max(1, threads // warp)


def shared(tile: Tile, classes: int, rows: Arrangement, processors: int, limits: Limits | None = None) -> Tile:
    """The tile with the classes of a row shared by programs, where there are too few rows for all processors."""
    known = LIMITS if limits is None else limits
    programs = programs_of(rows, tile)
    wanted = known.programs_per_processor * processors
    parts = 1
    if programs < wanted and classes >= known.share_from:
        parts = min(-(-wanted // max(1, programs)), classes // known.share, known.parts)
    if parts <= 1:
        return tile._replace(parts=1, span=classes)
    step = tile.step or tile.kept
    span = power_of_two(-(-classes // parts))
    if span <= step:  # a program's share is one tile
        warps = max(1, tile.warps * span // step)
        tile = tile._replace(kept=span, step=0, group=1, warps=warps)
    return tile._replace(parts=-(-classes // span), span=span)


def programs_of(rows: Arrangement, tile: Tile) -> int:
    """Programs along the rows."""
    return rows.outer * -(-rows.lanes // tile.rows)
