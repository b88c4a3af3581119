"""What ``crossent explain`` refuses, as a table. Each says what came and what to write: status 2, no traceback."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from crossent import explain
from crossent.cli import app

Z = numpy.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = numpy.array([0, 1, 2, 3, 0, 1])


def with_value(value: float, *where: Any) -> numpy.ndarray:
    changed = Z.copy()
    changed[where] = value
    return changed


def arrays(logits: Any = Z, target: Any = Y) -> dict[str, Any]:
    return {"logits": logits, "target": target}


def safetensors(header: Any) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(40)


def entry(dtype: str = "F32", shape: Any = (2, 3), offsets: Any = (0, 24)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


OPTIONS = [  # arguments; what the refusal says
    ("--label-smoothing 2", "label_smoothing=2.0 is out of range", "0 <= label_smoothing", "--label-smoothing 0.1"),
    ("--label-smoothing -0.1", "label_smoothing=-0.1", "--label-smoothing 0.1"),
    ("--label-smoothing nan", "label_smoothing=nan"),
    ("--class-dim 5", "class_dim=5 is out of range for an input of 2", "-2 to 1", "--class-dim -1"),
    ("--class-dim -9", "class_dim=-9", "--class-dim -1"),
    ("--class-dim 0", "XEN007", "logits (6, 4) float32", "class indices (4,)", "--class-dim -1"),
    ("--top 0", "top=0", "from 1 on"),
    ("--top -3", "top=-3"),
    ("--samples 0", "samples=0", "1 to 20"),
    ("--samples 21", "samples=21"),
    ("--loss nan", "loss=nan", "a finite number"),
    ("--loss inf", "loss=inf"),
    ("--reduction avg", "reduction='avg' is unknown", "'none', 'mean' or 'sum'", "--reduction mean"),
    ("--language fr", "language='fr'", "en or zh"),
    ("--ignore-index 99999999999999999999", "ignore_index=99999999999999999999"),
    ("--logits zz", "holds logits, target, and no 'zz'", "write: --logits NAME"),
    ("--target zz", "no 'zz'", "write: --target NAME"),
    ("--out .", "--out is .;", "write: --out explain.html"),
    ("--out x.pdf", "--out is x.pdf", ".html, .png or .txt"),
    ("--out nodir/x.html", "no folder nodir"),
]

FILES = [  # name, content, what the refusal says
    ("half.csv", "1,2,0.5\n2,1,1\n", "1 of 2 labels are not whole", "0.5"),
    ("nan-label.csv", "1,2,nan\n2,1,1\n", "1 of 2 labels are not whole", "nan"),
    ("word.csv", "1,2,0\n1,2,cat\n", "line 2, column 3 is 'cat'", "class id"),
    ("ragged.csv", "1,2,0\n1,0\n", "line 2 has 2 cells"),
    ("thin.csv", "1\n2\n", "one number", "C logits and then the label"),
    ("empty.csv", "", "is empty", "C logits"),
    ("head.csv", "a,b,y\n", "is empty"),
    ("bytes.csv", b"\xff\xfe\x00", "is no readable .csv file"),
    ("zeros.csv", "1,2\0,0\n", "column 2 is '2\\x00'"),
    ("empty.npz", b"", "is no readable .npz file", "numpy.savez"),
    ("cut.npz", b"PK\x03\x04 and no more", "is no readable .npz file"),
    ("empty.safetensors", b"", "impossible length"),
    ("list.safetensors", safetensors(b"[1, 2]"), "no table of tensors"),
    ("five.safetensors", safetensors({"logits": entry(), "target": 5}), "does not describe 'target'"),
    ("word.safetensors", safetensors({"logits": entry(shape=["a"]), "target": entry()}), "cannot be"),
    ("odd.safetensors", safetensors({"logits": entry(offsets=(0, 25)), "target": entry()}), "cannot be"),
    ("far.safetensors", safetensors({"logits": entry(offsets=(100, 124)), "target": entry()}), "cannot be"),
    ("less.safetensors", safetensors({"logits": entry(shape=[-2, -3]), "target": entry()}), "cannot be"),
    ("f8.safetensors", safetensors({"logits": entry("F8_E4M3"), "target": entry()}), "dtype F8_E4M3"),
    ("batch.pkl", b"", "ends in .npz, .safetensors, .csv", "no pickle", "numpy.savez"),
    ("batch.npy", b"", "ends in .npz, .safetensors, .csv"),
    ("text.npz", arrays(logits=numpy.array(["a", "b"])), "'logits' has dtype <U1; expected numbers"),
    ("words.npz", arrays(target=numpy.array(list("abcdef"))), "'target' has dtype <U1; expected numbers"),
    ("objects.npz", arrays(logits=numpy.array([1, "a", None], dtype=object)), "no readable .npz", "allow_pickle"),
    ("complex.npz", arrays(Z.astype("complex64")), "'logits' has dtype complex64"),
    ("nan.npz", arrays(with_value(numpy.nan, 2, 1)), "1 of 24 values of the logits", "row 2, class 1", "--doctor"),
    ("inf.npz", arrays(with_value(numpy.inf, 2, 1)), "the first is inf, in row 2, class 1"),
    ("masked.npz", arrays(with_value(-numpy.inf, 2)), "4 of 24 values", "-inf for masked classes"),
    ("broken.npz", arrays(target=with_value(numpy.nan, 0, 3)), "values of the target", "row 0, class 3"),
    ("fractions.npz", arrays(target=Y + 0.5), "6 of 6 labels are not whole", "0.5"),
    ("no-rows.npz", arrays(Z[:0], Y[:0]), "(0, 4): there is nothing to explain"),
    ("no-classes.npz", arrays(Z[:, :0], Y), "(6, 0): there is nothing to explain"),
    ("number.npz", arrays(numpy.float32(1), numpy.int64(0)), "XEN002", "no class dimension"),
    ("integers.npz", arrays(Z.astype("int64")), "XEN001", "logits must be floating point"),
    ("booleans.npz", arrays(target=Y > 1), "XEN008", "the target is bool", "target.long()"),
    ("void.npz", arrays(target=numpy.where(Y == 3, 255, Y)), "[0, 255]", "--ignore-index 255"),
    ("minus.npz", arrays(target=Y - 1), "[-1, 2]", "--ignore-index -1"),
    ("one-based.npz", arrays(target=Y + 1), "XEN010", "target - 1"),
    ("column.npz", arrays(target=Y[:, None]), "XEN005", "target.squeeze(1)"),
    ("short.npz", arrays(target=Y[:3]), "XEN007", "target (3,) int64"),
    ("three.npz", arrays(target=Z[:, :3]), "XEN007", "target (6, 3) float32"),
    ("last.npz", arrays(Z.reshape(2, 3, 4), Y.reshape(2, 3)), "XEN006", "--class-dim -1"),
    ("turned.npz", arrays(Z.reshape(1, 6, 2, 2), numpy.zeros((1, 6, 2), int)), "XEN006", "--class-dim -1"),
    ("middle.npz", arrays(Z.reshape(2, 3, 2, 2), numpy.zeros((3, 2, 2), int)), "XEN007", "--class-dim 0"),
    ("only.npz", {"logits": Z}, "holds logits, and no 'target'", "write: --target NAME"),
    ("nothing.npz", {}, "holds nothing"),
]


def refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["crossent", "explain", *arguments])
    with pytest.raises(SystemExit) as end:
        app()
    shown = capsys.readouterr()
    assert end.value.code == 2 and not shown.out, shown.out
    assert shown.err.startswith("crossent explain: ") and "Traceback" not in shown.err
    return shown.err


def save(path: Path, content: Any) -> None:
    if isinstance(content, dict):
        numpy.savez(path, **content)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("case", OPTIONS, ids=lambda case: case[0])
def test_an_option(
    case: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "batch.npz", arrays())
    said = refused(["batch.npz", *case[0].split()], monkeypatch, capsys)
    assert all(text in said for text in case[1:]), said


@pytest.mark.parametrize("case", FILES, ids=lambda case: case[0])
def test_a_file(
    case: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / case[0], case[1])
    said = refused([case[0]], monkeypatch, capsys)
    assert all(text in said for text in case[2:]), said


def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert ". is a folder; expected a file" in refused(["."], monkeypatch, capsys)
    assert "a.npz: No such file" in refused(["a.npz"], monkeypatch, capsys)
    (tmp_path / "a.npz").mkdir()
    assert "a.npz is a folder" in refused(["a.npz"], monkeypatch, capsys)


@pytest.mark.parametrize(
    "content",
    [
        arrays(target=Y.astype("float32")),
        arrays(target=Y.astype("uint16")),
        arrays(target=Y.astype("uint8")),
        arrays(Z.astype(">f4")),
        arrays(Z.astype("float16")),
        arrays(Z[0], numpy.int64(2)),
        arrays(with_value(-numpy.inf, 2, 1)),
        arrays(target=numpy.abs(Z) / numpy.abs(Z).sum(1, keepdims=True)),
        arrays(target=numpy.full(6, -100)),
        {**arrays(), "names": numpy.array(["cat", None], dtype=object)},
    ],
    ids=["float", "uint16", "uint8", "big-endian", "half", "one-row", "masked", "soft", "ignored", "more"],
)
def test_what_is_taken(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "batch.npz", content)
    monkeypatch.setattr(sys, "argv", ["crossent", "explain", str(tmp_path / "batch.npz"), "--top", "1000"])
    with pytest.raises(SystemExit) as end:
        app()
    assert end.value.code in (None, 0) and "What this cross entropy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: explain("a", 0), "XEN020"),
        (lambda: explain(torch.randn(2, 4), [0, 1], weight=torch.ones(3)), "XEN011"),
        (lambda: explain(torch.randn(2, 4), torch.rand(2, 4), ignore_index=3), "XEN016"),
        (lambda: explain(torch.randn(2, 4), [0, 1], top=2.5), "XEN030"),
        (lambda: explain(torch.ones(2, 4, dtype=torch.int64), torch.randn(2)), "XEN017"),
    ],
)
def test_in_code(call: Any, text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        call()
