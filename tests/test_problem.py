"""Layouts: rows are views of the caller's memory wherever strides allow, and come back to its shape."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from crossent.problem import Layout

LAYOUTS = [
    ((5,), 0, 0), ((4, 5), 1, 0), ((4, 5), 0, 0), ((3, 5, 7), 1, 0), ((3, 5, 7), 2, 0), ((3, 5, 7), 0, 0),
    ((2, 5, 3, 4), 1, 0), ((2, 5, 3, 4), 3, 0), ((2, 5, 3, 4), 2, 0), ((2, 5, 1, 1), 1, 0), ((0, 5), 1, 0),
    ((3, 7, 5), 2, 1), ((3, 7, 5), 2, 3), ((3, 7, 5), 2, 7), ((3, 7, 5), 2, 9), ((3, 5, 7), 1, 2), ((7, 5), 1, 2),
    ((2, 5, 3, 4), 1, 2), ((2, 3, 4, 5), 3, 1), ((3, 0, 5), 2, 1),
]  # fmt: skip


def layout_of(shape: tuple[int, ...], class_dim: int, shift: int) -> Layout:
    return Layout(shape, class_dim, shift)


def numbered(shape: tuple[int, ...]) -> Tensor:
    return torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64).view(shape)


def classes_last(layout: Layout, tensor: Tensor, offset: int = 0) -> Tensor:
    """(rows, V): the rows by their definition."""
    rows = tensor.movedim(layout.class_dim, -1)
    if layout.shift:
        rows = rows.narrow(-2, offset, rows.shape[-2] - layout.unread)
    return rows.reshape(-1, layout.classes)


@pytest.mark.parametrize(("shape", "class_dim", "shift"), LAYOUTS)
def test_rows_are_the_rows(shape: tuple[int, ...], class_dim: int, shift: int) -> None:
    layout, tensor = layout_of(shape, class_dim, shift), numbered(shape)
    for offset in {0, layout.unread}:
        rows = layout.rows(tensor, offset=offset)
        assert rows.dim() == 3
        assert torch.equal(rows.movedim(1, -1).reshape(-1, layout.classes), classes_last(layout, tensor, offset))


@pytest.mark.parametrize(("shape", "class_dim", "shift"), LAYOUTS)
def test_rows_come_back(shape: tuple[int, ...], class_dim: int, shift: int) -> None:
    layout, tensor = layout_of(shape, class_dim, shift), numbered(shape)
    for offset in {0, layout.unread}:
        back = layout.from_row_view(layout.rows(tensor, offset=offset), torch.float64, offset=offset)
        expected = torch.zeros_like(tensor)
        layout.narrow_input(expected, offset=offset).copy_(layout.narrow_input(tensor, offset=offset))
        assert torch.equal(back, expected)


@pytest.mark.parametrize(("shape", "class_dim", "shift"), LAYOUTS)
def test_index_tensors_there_and_back(shape: tuple[int, ...], class_dim: int, shift: int) -> None:
    layout = layout_of(shape, class_dim, shift)
    index, rows = numbered(layout.index_shape), layout.rows(numbered(shape))
    per_row = layout.per_row(index, (rows.shape[0], rows.shape[2]))
    assert torch.equal(per_row.reshape(-1), layout.narrow_index(index).reshape(-1))
    back = layout.from_rows(per_row, -1)
    expected = torch.full_like(index, -1)
    layout.narrow_index(expected).copy_(layout.narrow_index(index))
    assert torch.equal(back, expected)


@pytest.mark.parametrize(("shape", "class_dim", "shift"), LAYOUTS)
def test_rows_and_targets_meet(shape: tuple[int, ...], class_dim: int, shift: int) -> None:
    """Entry t of an index tensor and the logits at t - shift lie at the same (outer, inner)."""
    layout = layout_of(shape, class_dim, shift)
    where = numbered(layout.index_shape)  # each position's own number, and in the logits as every class
    logits = where.unsqueeze(class_dim).expand(shape)
    rows = layout.rows(logits)
    row_shape = (rows.shape[0], rows.shape[2])
    entries = layout.per_row(where, row_shape)
    assert torch.equal(
        entries - rows[:, 0], torch.full(row_shape, float(min(shift, layout.unread)), dtype=torch.float64)
    )
    probabilities = layout.rows(logits, offset=layout.unread, row_shape=row_shape)
    assert torch.equal(probabilities[:, 0], entries)


@pytest.mark.parametrize(("shape", "class_dim", "shift"), LAYOUTS)
def test_a_view_of_contiguous_memory_costs_no_copy(shape: tuple[int, ...], class_dim: int, shift: int) -> None:
    layout, tensor = layout_of(shape, class_dim, shift), numbered(shape)
    view = layout.row_view(tensor)
    only_a_copy = {((2, 5, 3, 4), 2, 0), ((2, 5, 3, 4), 1, 2), ((2, 3, 4, 5), 3, 1)}
    if view is None:
        assert (shape, class_dim, shift) in only_a_copy
        return
    assert view.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    before = tensor.clone()
    view.neg_()
    changed = layout.narrow_input(tensor.clone()).numel()
    assert int((tensor != before).sum()) == changed


@pytest.mark.parametrize("kind", ["transposed", "sliced", "step 2", "expanded", "channels last"])
def test_strided_memory_is_viewed_too(kind: str) -> None:
    memory = {
        "transposed": lambda: numbered((5, 4)).t(),
        "sliced": lambda: numbered((6, 9))[1:5, 2:7],
        "step 2": lambda: numbered((8, 10))[::2, ::2],
        "expanded": lambda: numbered((1, 5)).expand(4, 5),
        "channels last": lambda: numbered((2, 5, 3, 4)).contiguous(memory_format=torch.channels_last),
    }[kind]()
    layout = layout_of(tuple(memory.shape), 1, 0)
    view = layout.row_view(memory)
    assert view is not None
    assert view.untyped_storage().data_ptr() == memory.untyped_storage().data_ptr()
    assert torch.equal(view.movedim(1, -1).reshape(-1, 5), classes_last(layout, memory))


def test_a_row_view_of_another_shape_is_refused() -> None:
    layout = layout_of((3, 7, 5), 2, 0)
    assert layout.row_view(numbered((3, 7, 5)), row_shape=(3, 7)) is not None
    assert layout.row_view(numbered((3, 7, 5)), row_shape=(21, 1)) is not None
    assert layout.row_view(numbered((3, 7, 5)), row_shape=(7, 3)) is None
    reordered = layout.rows(numbered((3, 5, 7)).transpose(1, 2), row_shape=(3, 7))
    assert reordered.shape == (3, 5, 7)


@pytest.mark.parametrize(("length", "shift"), list(itertools.product((1, 2, 5), (1, 2, 5, 6))))
def test_unread_positions_of_a_gradient_are_zeroed(length: int, shift: int) -> None:
    layout = layout_of((2, length, 3), 2, shift)
    full = torch.full((2, length, 3), torch.nan)
    layout.zero_unread(full)
    kept = max(0, length - shift)
    assert full[:, :kept].isnan().all()
    assert (full[:, kept:] == 0).all()
    assert layout.unread == length - kept
