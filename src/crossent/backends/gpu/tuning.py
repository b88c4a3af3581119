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
    whole = power_of_two(classes)
    place = rows.places[0]
    if not classes_first(place):
        return _across(whole, rows, warp, heavy, known)
    kept = known.kept // 2 if wide else known.kept
    elements = boundary_elements(place)
    edge = elements if classes >= known.edges_from and not _is_aligned(rows, classes) else 0
    if whole > kept:
        step = known.step // 2 if wide else known.step
        first = min(step, known.kept_of_longer)
        less = 1 << heavy
        group = max(1, min(elements, step // less))
        return Tile(1, first // less, step // less, group, edge, _warps(step, warp, known) * 2)
    lanes = 1 if edge else max(1, min(known.tile // whole, power_of_two(rows.lanes)))
    shared_by_rows = replace(known, elements_per_thread=known.elements_per_thread_across) if lanes > 1 else known
    return Tile(lanes, whole, 0, 1, edge, _warps(lanes * whole, warp, shared_by_rows))


def _across(whole: int, rows: Arrangement, warp: int, heavy: int, known: Limits) -> Tile:
    """Rows next to each other: a few classes of many rows."""
    lanes = min(known.lanes, power_of_two(rows.lanes))
    kept = max(1, known.tile // lanes)
    across = replace(known, elements_per_thread=known.elements_per_thread_across >> heavy)
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
