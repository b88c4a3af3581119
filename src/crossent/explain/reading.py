"""Logits and targets from a file: .npz, .safetensors or .csv. Never pickle: a file may come from anybody."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

FORMATS = (".npz", ".safetensors", ".csv")
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
}  # fmt: skip
LOGITS, TARGETS = ("logits", "input", "outputs"), ("target", "targets", "labels", "label", "y")
MOST_HEADER_BYTES = 1 << 24
WRITE = 'write: numpy.savez("batch.npz", logits=logits.numpy(), target=target.numpy())'


class Data(NamedTuple):
    logits: Tensor
    target: Tensor
    names: tuple[str, ...]


class Arrays(NamedTuple):
    """Of a file: what it holds, and one of them."""

    names: list[str]
    load: Callable[[str], Tensor]


class UnreadableError(Exception):
    """The message says what is wrong, what was expected and what to write."""


def read(path: Path, logits: str | None, target: str | None) -> Data:
    """Arrays by name; without names, the usual ones. Others in the file are not looked at."""
    if path.is_dir():
        raise UnreadableError(f"{path} is a folder; expected a file, one of {', '.join(FORMATS)}; {WRITE}")
    if path.suffix not in FORMATS:
        raise UnreadableError(
            f"{path}: expected a name that ends in {', '.join(FORMATS)} (no pickle: it may run anything); {WRITE}"
        )
    try:
        if path.suffix == ".csv":
            return _csv(path)
        arrays = _npz(path) if path.suffix == ".npz" else _safetensors(path)
        z, y = _pick(arrays, logits, LOGITS, path), _pick(arrays, target, TARGETS, path)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UnreadableError(f"{path.name} is no readable {path.suffix} file: {error}; {WRITE}") from None
    return Data(z, _labels(y, z), ())


def _pick(arrays: Arrays, name: str | None, usual: tuple[str, ...], path: Path) -> Tensor:
    for candidate in (name,) if name else usual:
        if candidate in arrays.names:
            return arrays.load(candidate)
    wanted = repr(name) if name else " or ".join(map(repr, usual))
    option = "--logits" if usual is LOGITS else "--target"
    held = ", ".join(sorted(arrays.names)) or "nothing"
    raise UnreadableError(f"{path.name} holds {held}, and no {wanted}; write: {option} NAME, one of its own names")


def _npz(path: Path) -> Arrays:
    import numpy

    def load(name: str) -> Tensor:
        with path.open("rb") as file, numpy.load(file, allow_pickle=False) as archive:
            array = archive[name]
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise ValueError(f"{name!r} has dtype {array.dtype}; expected numbers")
        is_wide = array.dtype.kind == "u" and array.dtype.itemsize > 1  # torch has these for few operations
        return torch.from_numpy(array.astype("int64" if is_wide else array.dtype.newbyteorder("=")))

    with path.open("rb") as file, numpy.load(file, allow_pickle=False) as archive:
        return Arrays(list(archive.files), load)


def _safetensors(path: Path) -> Arrays:
    """The format is a length, a JSON header, and the bytes."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= min(MOST_HEADER_BYTES, len(content) - 8):
        raise ValueError("its header has an impossible length")
    header: Any = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("its header is no table of tensors")
    entries = cast("dict[str, Any]", header)
    entries.pop("__metadata__", None)

    def load(name: str) -> Tensor:
        return _tensor(name, entries[name], content[8 + length :])

    return Arrays(list(entries), load)


def _tensor(name: str, entry: Any, data: bytes) -> Tensor:
    try:
        kind, shape, (start, stop) = entry["dtype"], list(entry["shape"]), entry["data_offsets"]
        count = math.prod(shape)
        is_sound = all(isinstance(size, int) and size >= 0 for size in (*shape, start, stop))
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"its header does not describe {name!r}") from None
    if kind not in DTYPES:
        raise ValueError(f"{name!r} has dtype {kind}; expected one of {', '.join(DTYPES)}")
    dtype = DTYPES[kind]
    if not is_sound or not start <= stop <= len(data) or stop - start != count * dtype.itemsize:
        raise ValueError(f"{name!r} is {kind} {shape} in bytes {start} to {stop} of {len(data)}, which cannot be")
    if not count:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data[start:stop]), dtype=dtype).reshape(shape)


def _csv(path: Path) -> Data:
    """One row per sample: C logits, then the label. A first line that is no number names the classes."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), 1) if line]
        except csv.Error as error:
            raise ValueError(error) from None
    names: tuple[str, ...] = ()
    if lines and _number(lines[0][1][0]) is None:
        names = tuple(lines.pop(0)[1][:-1])
    if not lines:
        raise UnreadableError(f"{path.name} is empty; expected lines of C logits and then the label")
    table = torch.tensor(list(_numbers(path, lines)), dtype=torch.float64)
    if table.shape[1] < 2:
        raise UnreadableError(f"{path.name}: a line has one number; expected C logits and then the label")
    return Data(table[:, :-1], _labels(table[:, -1], table), names)


def _numbers(path: Path, lines: list[tuple[int, list[str]]]) -> Iterable[list[float]]:
    width = len(lines[0][1])
    for number, line in lines:
        if len(line) != width:
            raise UnreadableError(
                f"{path.name}: line {number} has {len(line)} cells and the one before {width}; expected C logits and "
                "then the label in each"
            )
        values = [_number(cell) for cell in line]
        if None in values:
            column = values.index(None)
            raise UnreadableError(
                f"{path.name}: line {number}, column {column + 1} is {line[column]!r:.40}; expected a number, and the "
                "label's as a class id 0 to C - 1"
            )
        yield [value for value in values if value is not None]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _labels(target: Tensor, logits: Tensor) -> Tensor:
    """Labels that were written as floats are labels."""
    is_whole = target.is_floating_point() and bool((target == target.round()).all())
    return target.long() if is_whole and target.shape != logits.shape else target
