"""What every kernel is told about rows: their place, their tile, the numbers of the call."""

from __future__ import annotations

import functools
import importlib
import os
import struct
from typing import Any

import torch
from torch import Tensor

from crossent.backends.gpu import tuning
from crossent.backends.gpu.layout import Arrangement, Place, arrange
from crossent.backends.gpu.tuning import Tile
from crossent.backends.protocol import RowProblem, Rows, TargetOutOfRange

ONE_CLASS, SMOOTHED, SPELLED_OUT = 0, 1, 2  # rows.py, which needs Triton
SCALED, CAPPED = 1, 2
NO_SKIP = -(1 << 63)  # no class index
REGISTERS, MOST_REGISTERS = 65536, 255  # of a multiprocessor, of a thread (NVIDIA)


def kernel(room: str, name: str) -> Any:
    """A kernel; Triton is imported with the first."""
    return getattr(importlib.import_module(f"crossent.backends.gpu.{room}"), name)


def options(warps: int, arguments: dict[str, Any], *, nvidia: bool) -> dict[str, Any]:
    """How a kernel is compiled. Left alone, ptxas spills a few registers of small programs in order to have more of
    them at a time; in float64 and with several rows a thread may have all that there are."""
    known = {"num_warps": warps, "enable_fp_fusion": True}
    if nvidia and (arguments.get("WIDE") or arguments.get("ROWS", 1) > 1):
        known["maxnreg"] = min(MOST_REGISTERS, REGISTERS // (32 * warps))
    return known


def start(room: str, name: str, grid: tuple[int, ...], warps: int, arguments: dict[str, Any], device: Any) -> None:
    """Launch on the current stream of the tensors' device."""
    run = kernel(room, name)[grid]
    how = options(warps, arguments, nvidia=device.type == "cuda" and not torch.version.hip)
    if device.type == "cuda" and device.index != torch.cuda.current_device():
        with torch.cuda.device(device):
            run(**arguments, **how)
    else:
        run(**arguments, **how)


@functools.cache
def processors(device: torch.device) -> int:
    """Multiprocessors of the device."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 2


def _warp() -> int:
    return 64 if torch.version.hip else 32


def _number(value: float, wide: bool) -> float | int:
    """A number as kernels take it: float32, or the bits of a float64."""
    return struct.unpack("q", struct.pack("d", value))[0] if wide else float(value)


class Call:
    """What every kernel is told about rows."""

    def __init__(self, rows: Rows, *others: Tensor | None) -> None:
        self.rows = rows
        self.dtype = rows.compute_dtype
        self.wide = self.dtype == torch.float64
        self.device = rows.logits.device
        self.classes = rows.classes
        self.logits = rows.logits.resolve_neg()
        self.others = [None if other is None else other.resolve_neg() for other in others]
        outer, inner = rows.row_shape
        self.count = outer * inner
        given = [other for other in self.others if other is not None]
        self.lanes = arrange(outer, inner, self.logits, *given)
        scale = rows.logit_scale
        per_row = isinstance(scale, Tensor)
        self.row_scale = scale.to(self.dtype).contiguous() if per_row else None
        self.map = CAPPED if rows.softcap is not None else SCALED if per_row or scale != 1.0 else 0
        self.numbers = {"scale": 1.0 if per_row else float(scale), "cap": float(rows.softcap or 1.0)}

    def place(self, tensor: Tensor | None) -> Place | None:
        """Where a tensor given to the constructor lies."""
        found = (place for place in self.lanes.places if place.tensor is tensor)
        return None if tensor is None else next(found)

    @property
    def heavy(self) -> int:
        """How many kinds of numbers a kernel keeps besides the logits."""
        return int(self.map == CAPPED)

    def tile(self, *, share: bool, more: int = 0) -> Tile:
        """The tile of a kernel that reads the logits. ``more``: kinds of numbers that only this kernel keeps."""
        heavy = self.heavy + more
        tile = tuning.tile_for(self.classes, self.lanes, wide=self.wide, warp=_warp(), heavy=heavy)
        processors_here = processors(self.device) if share else 0
        return tuning.shared(tile, self.classes, self.lanes, processors_here)

    def common(self, tile: Tile) -> dict[str, Any]:
        """The arguments that all row kernels have."""
        arguments = {
            "row_scale": self.row_scale,
            "classes": self.classes,
            "MAP": self.map,
            "WIDE": self.wide,
            "ROWS": tile.rows,
            "EDGE": tile.edge,
            **lanes_of(self.lanes),
            **self.words(**self.numbers),
        }
        return arguments | strides_of("logits", self.lanes.places[0])

    def words(self, **numbers: float) -> dict[str, float | int]:
        """Numbers as kernels take them."""
        return {name: _number(value, self.wide) for name, value in numbers.items()}

    def aligned(self, tensor: Tensor | None, tile: Tile) -> bool:
        """Whether a tensor's rows have their boundaries where the logits' have them."""
        place = self.place(tensor)
        return bool(place and tile.edge and place.is_at_same_boundaries(self.lanes.places[0], tile.edge))

    def per_row(self, *leading: int) -> Tensor:
        """Uninitialised numbers of each row."""
        return torch.empty((*leading, *self.rows.row_shape), dtype=self.dtype, device=self.device)

    def start(self, room: str, name: str, tile: Tile, arguments: dict[str, Any]) -> None:
        """Launch a row kernel."""
        grid = (tuning.programs_of(self.lanes, tile), tile.parts)
        start(room, name, grid, tile.warps, arguments, self.device)


def lanes_of(rows: Arrangement) -> dict[str, int]:
    return {"lanes": rows.lanes, "by_outer": rows.by_outer, "by_lane": rows.by_lane}


def strides_of(name: str, place: Place | None) -> dict[str, Any]:
    """A tensor and its strides under their names in a kernel."""
    if place is None:
        return {name: None, f"{name}_outer": 0, f"{name}_class": 0, f"{name}_lane": 0}
    return {
        name: place.tensor,
        f"{name}_outer": place.outer,
        f"{name}_class": place.across,
        f"{name}_lane": place.lane,
    }


class Scored(Call):
    """Rows with targets."""

    def __init__(self, problem: RowProblem, *others: Tensor | None) -> None:
        super().__init__(problem, problem.target, *others)
        check_targets(problem)
        self.problem = problem
        self.target = self.others[0]
        self.q = SPELLED_OUT if not problem.is_index else SMOOTHED if problem.off else ONE_CLASS
        self.skip = NO_SKIP if problem.skip is None else problem.skip

    @property
    def heavy(self) -> int:
        return super().heavy + (self.q != ONE_CLASS)

    def scored(self, tile: Tile) -> dict[str, Any]:
        """:meth:`common`, and what the rows are scored against."""
        problem = self.problem
        arguments = {
            "weight": problem.class_weight,
            "skip": self.skip,
            "Q": self.q,
            "TARGET_ALIGNED": self.aligned(self.target, tile),
            **self.words(on=problem.on, off=problem.off),
        }
        return self.common(tile) | arguments | strides_of("target", self.place(self.target))

    def target_rows(self) -> dict[str, Any]:
        """Index targets for kernels that know no probabilities."""
        strides = strides_of("target", self.place(self.target))
        del strides["target_class"]
        return strides | {"skip": self.skip}


def check_targets(problem: RowProblem) -> None:
    """Nothing, unless CROSSENT_CHECK_TARGETS=1: then targets out of range are refused, which waits for the device."""
    if not problem.is_index or os.environ.get("CROSSENT_CHECK_TARGETS", "0") in ("", "0"):
        return
    target = problem.target
    bad = (target != problem.skip) & ((target < 0) | (target >= problem.classes))
    if bad.any():
        row = int(bad.reshape(-1).nonzero()[0])
        raise TargetOutOfRange(row, int(target.reshape(-1)[row]))
