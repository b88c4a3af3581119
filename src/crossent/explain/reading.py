"""Logits and targets from a file: .npz, .safetensors or .csv. Never pickle: a file may come from anybody."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

FORMATS = (".npz", ".safetensors", ".csv")
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
}  # fmt: skip
LOGITS, TARGETS = ("logits", "input", "outputs"), ("target", "targets", "labels", "label", "y")
MOST_HEADER_BYTES = 1 << 24


class Data(NamedTuple):
    logits: Tensor
    target: Tensor
    names: tuple[str, ...]


class UnreadableError(Exception):
    """The message says what is wrong and what was expected."""


def read(path: Path, logits: str | None, target: str | None) -> Data:
    """Arrays by name; without names, the usual ones."""
    if path.suffix not in FORMATS:
        raise UnreadableError(
            f"{path.name}: expected a name that ends in {', '.join(FORMATS)} (no pickle: it may run anything); write: "
            'numpy.savez("batch.npz", logits=logits.numpy(), target=target.numpy())'
        )
    try:
        if path.suffix == ".csv":
            return _csv(path)
        arrays = _npz(path) if path.suffix == ".npz" else _safetensors(path)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise UnreadableError(f"{path.name} is no readable {path.suffix} file: {error}") from None
    return Data(_pick(arrays, logits, LOGITS, path), _integers(_pick(arrays, target, TARGETS, path)), ())


def _pick(arrays: dict[str, Tensor], name: str | None, usual: tuple[str, ...], path: Path) -> Tensor:
    for candidate in (name,) if name else usual:
        if candidate in arrays:
            return arrays[candidate]
    wanted = repr(name) if name else " or ".join(map(repr, usual))
    raise UnreadableError(f"{path.name} holds {', '.join(sorted(arrays))}, and no {wanted}")


def _npz(path: Path) -> dict[str, Tensor]:
    import numpy

    with path.open("rb") as file, numpy.load(file, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def _safetensors(path: Path) -> dict[str, Tensor]:
    """The format is a length, a JSON header, and the bytes."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= min(MOST_HEADER_BYTES, len(content) - 8):
        raise ValueError("its header has an impossible length")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    return {name: _tensor(name, entry, content[8 + length :]) for name, entry in header.items()}


def _tensor(name: str, entry: dict[str, Any], data: bytes) -> Tensor:
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"{name} has dtype {entry['dtype']}")
    start, stop = entry["data_offsets"]
    if not 0 <= start <= stop <= len(data):
        raise ValueError(f"{name} lies outside of the file")
    return torch.frombuffer(bytearray(data[start:stop]), dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _csv(path: Path) -> Data:
    """One row per sample: C logits, then the label. A first line that is no number names the classes."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.reader(file) if line]
    if not lines:
        raise UnreadableError(f"{path.name} is empty")
    names: tuple[str, ...] = ()
    if not _is_number(lines[0][0]):
        names = tuple(lines.pop(0)[:-1])
    try:
        table = torch.tensor([[float(cell) for cell in line] for line in lines], dtype=torch.float64)
    except ValueError as error:
        raise UnreadableError(f"{path.name}: each line has C logits and a label, all numbers: {error}") from None
    if table.dim() != 2 or table.shape[1] < 2:
        raise UnreadableError(f"{path.name}: each line has C logits and then the label")
    return Data(table[:, :-1], _integers(table[:, -1]), names)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _integers(target: Tensor) -> Tensor:
    """Labels that were written as floats are labels."""
    if target.is_floating_point() and target.dim() == 1 and bool((target == target.round()).all()):
        return target.long()
    return target if target.is_floating_point() else target.long()
