"""Where rows lie in memory, as kernels are told it, and which way programs go through them. No Triton here.

A tensor of rows is ``(outer, V, inner)`` with any strides. Programs take some neighbouring rows ("lanes") of one outer
index: lanes are both dimensions where every tensor has them as one, else ``inner``, or ``outer`` where inner is 1.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

BOUNDARY_BYTES = 16  # of the widest load of a thread


class Place(NamedTuple):
    """A tensor of rows: strides in elements, 0 along a dimension of one entry."""

    tensor: Tensor
    outer: int
    across: int  # from class to class; 0 for one number per row
    lane: int

    def is_at_same_boundaries(self, other: Place, elements: int) -> bool:
        """Whether an entry of this tensor lies at a boundary of ``elements`` entries exactly where that of the other
        does."""
        own, theirs = (place.tensor.data_ptr() // place.tensor.element_size() for place in (self, other))
        pairs = ((own, theirs), (self.outer, other.outer), (self.lane, other.lane))
        return self.across == other.across == 1 and all((a - b) % elements == 0 for a, b in pairs)


class Arrangement(NamedTuple):
    """The rows of a call as programs see them."""

    outer: int
    lanes: int
    by_outer: int  # from a per-row number to that of the next outer index, and to the next lane's
    by_lane: int
    places: tuple[Place, ...]  # the logits' first


def place_of(tensor: Tensor) -> Place:
    """The place of an (outer, V, inner) or (outer, inner) tensor."""
    strides = [stride if size > 1 else 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    if tensor.dim() == 2:
        strides.insert(1, 0)
    return Place(tensor, *strides)


def arrange(outer: int, inner: int, *tensors: Tensor) -> Arrangement:
    """The rows of (outer, V, inner) and (outer, inner) tensors."""
    places = tuple(map(place_of, tensors))
    if outer == 1:
        return Arrangement(1, inner, 0, 1, places)
    if inner == 1:
        swapped = tuple(place._replace(outer=0, lane=place.outer) for place in places)
        return Arrangement(1, outer, 0, 1, swapped)
    if all(place.outer == inner * place.lane for place in places):
        return Arrangement(1, outer * inner, 0, 1, tuple(place._replace(outer=0) for place in places))
    return Arrangement(outer, inner, inner, 1, places)


def classes_first(place: Place) -> bool:
    """Whether the next class is nearer than the next row."""
    return place.lane == 0 or 0 < place.across < place.lane or place.across == 1


def boundary_elements(place: Place) -> int:
    """How many classes lie between boundaries; 0 where a row cannot be read in such pieces."""
    return BOUNDARY_BYTES // place.tensor.element_size() if place.across == 1 else 0
