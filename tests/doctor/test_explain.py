"""The numbers of an explanation are torch's; its views show them, in both languages, and run nothing."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
import torch.nn.functional as F
from rich.console import Console

import crossent
from crossent import explain
from crossent.explain import heat, reading
from crossent.explain.words import WORDS


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return 2 * torch.randn(6, 10), torch.tensor([1, 2, -100, 4, 5, 6])


OPTIONS = [
    {},
    {"label_smoothing": 0.1},
    {"reduction": "sum"},
    {"ignore_index": 4},
    {"weight": torch.linspace(0.5, 2.0, 10)},
    {"weight": torch.linspace(0.5, 2.0, 10), "label_smoothing": 0.2, "reduction": "sum"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("kind", ["index", "probability"])
def test_loss_rows_and_gradient_are_torchs(options: dict, kind: str) -> None:
    z, y = batch()
    z = z.double()
    target = y if kind == "index" else torch.randn(6, 10).double().softmax(1)
    if options.get("ignore_index") == 4 and kind == "index":
        target = target.clamp(min=0)
    elif "ignore_index" in options:
        pytest.skip("torch has no ignore_index for probabilities")
    given = {**options, "weight": options["weight"].double()} if "weight" in options else options
    seen = explain(z, target, samples=6, **options)
    assert seen.loss == pytest.approx(float(F.cross_entropy(z, target, **given)), rel=1e-12)
    assert seen.torch_loss == pytest.approx(seen.loss, rel=1e-12)
    assert seen.gradient_difference < 1e-15
    rows = F.cross_entropy(z, target, **{**given, "reduction": "none"})
    assert [row.loss for row in seen.rows] == pytest.approx([float(rows[row.index]) for row in seen.rows], rel=1e-12)
    assert sum(row.share for row in seen.rows) == pytest.approx(1.0)


def test_each_row_adds_up() -> None:
    z, y = batch()
    seen = explain(z, y, samples=6, top=10)
    for row in seen.rows:
        own = next(view for view in row.classes if view.is_label)
        assert row.logsumexp - own.logit == pytest.approx(row.plain)
        assert sum(view.probability for view in row.classes) == pytest.approx(1.0)
        assert sum(view.gradient for view in row.classes) == pytest.approx(0.0, abs=1e-15)
        assert row.rank == sum(view.logit > own.logit for view in row.classes)
    assert seen.nll_of_log_softmax == pytest.approx(seen.loss)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("softmax", lambda z, y: F.cross_entropy(z.softmax(1), y)),
        ("probabilities", lambda z, y: F.nll_loss(z.softmax(1), y)),
        ("logits", F.nll_loss),
        ("dim", lambda z, y: F.nll_loss(z.log_softmax(0), y)),
        ("right", F.cross_entropy),
    ],
)
def test_the_loss_that_you_see_is_recognised(key: str, wrong) -> None:
    z, y = batch()
    seen = explain(z, y, loss=round(float(wrong(z, y)), 4))
    assert [mistake.key for mistake in seen.mistakes if mistake.is_seen] == [key]


def test_layouts_and_the_worst_rows() -> None:
    z, y = torch.randn(2, 5, 3, 4), torch.randint(0, 5, (2, 3, 4))
    seen = explain(z, y, worst=True, samples=2)
    rows = F.cross_entropy(z.double(), y, reduction="none").reshape(-1)
    assert seen.row_count == 24 and [row.index for row in seen.rows] == rows.argsort(descending=True)[:2].tolist()
    last = explain(z.movedim(1, -1), y, class_dim=-1)
    assert last.loss == pytest.approx(seen.loss)
    assert explain(torch.randn(5), torch.tensor(3)).row_count == 1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: explain(torch.randn(3, 4), torch.tensor([0, 1])), "target-shape"),
        (lambda: explain(torch.randn(2, 4), torch.tensor([0, 7])), r"lie in \[0, 7\]"),
        (lambda: explain(torch.randn(2, 4), torch.tensor([0, 1]), reduction="max"), "reduction='max'"),
        (lambda: explain(torch.randn(2, 4), torch.tensor([0, 1]), language="fr"), "en or zh"),
        (lambda: explain(torch.randn(2, 4), torch.tensor([0, 1]), samples=50), "1 to 20"),
    ],
)
def test_what_is_refused(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()


def test_every_word_is_in_both_languages_with_the_same_places() -> None:
    for key, texts in WORDS.items():
        assert set(texts) == {"en", "zh"}, key
        places = [set(re.findall(r"\{(\w+)", text)) for text in texts.values()]
        assert places[0] == places[1], key


@pytest.mark.parametrize("language", ["en", "zh"])
def test_views_show_the_numbers(language: str, tmp_path: Path) -> None:
    z, y = batch()
    seen = explain(z, y, names=["cat", "<b>dog</b>"], language=language)
    html = seen.to_html()
    for view in (str(seen), html):
        assert f"{seen.loss:.6f}" in view and f"{seen.rows[0].logsumexp:.4f}" in view
    assert "<script" not in html and "<b>dog" not in html and "&lt;b&gt;dog" in html
    assert len(html.encode()) < 200_000 and "prefers-color-scheme:dark" in html
    assert (WORDS["title"][language]) in html
    seen.save(tmp_path / "e.png")
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"\.png"):
        seen.save(tmp_path / "e.pdf")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_console_of_any_width_shows_whole_numbers(language: str, width: int) -> None:
    z, y = torch.randn(2, 6, 70), torch.randint(0, 70, (2, 6))
    z[0, 0], y[0, 0] = 0.0, 1
    z[0, 0, 1] = 3.25
    maps = explain(torch.randn(1, 3, 64, 64), torch.randint(0, 3, (1, 64, 64)), language=language)
    for seen in (explain(z, y, class_dim=2, samples=1, top=3, loss=2.0, language=language), maps):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(seen)
        shown = console.export_text()
        assert "\u2026" not in shown and f"{seen.loss:.6f}" in shown
        assert all(f"{view.logit:.4f}" in shown for row in seen.rows for view in row.classes)
        assert all(f"{mistake.value:.4f}" in shown for mistake in seen.mistakes)


def save_safetensors(path: Path, arrays: dict[str, torch.Tensor]) -> None:
    header, data = {"__metadata__": {"by": "a test"}}, b""
    names = {torch.float32: "F32", torch.int64: "I64", torch.bfloat16: "BF16"}
    for name, tensor in arrays.items():
        raw = tensor.contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_files_are_read(tmp_path: Path) -> None:
    z, y = batch()
    y = y.clamp(min=0)
    numpy.savez(tmp_path / "a.npz", logits=z.numpy(), labels=y.numpy())
    save_safetensors(tmp_path / "a.safetensors", {"logits": z, "labels": y})
    lines = [",".join(f"c{i}" for i in range(10)) + ",label"]
    lines += [
        ",".join(f"{v:.9g}" for v in row) + f",{label}" for row, label in zip(z.tolist(), y.tolist(), strict=True)
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    for name in ("a.npz", "a.safetensors", "a.csv"):
        data = reading.read(tmp_path / name, None, None)
        assert torch.equal(data.target, y) and torch.allclose(data.logits.float(), z, atol=1e-7)
    assert data.names[3] == "c3"


def test_pickle_is_never_read(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "a.npz", logits=numpy.array([{"a": 1}], dtype=object))
    with pytest.raises(reading.UnreadableError, match="no readable"):
        reading.read(tmp_path / "a.npz", None, None)
    with pytest.raises(reading.UnreadableError, match=r"\.safetensors"):
        reading.read(tmp_path / "a.pt", None, None)
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(reading.UnreadableError, match="impossible length"):
        reading.read(tmp_path / "b.safetensors", None, None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.npz", b"PK\x03\x04 and no more"),
        ("empty.npz", b""),
        ("text.npz", b"hello"),
        ("list.safetensors", (2).to_bytes(8, "little") + b"[]"),
        ("bytes.csv", b"\xff\xfe\x00"),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(reading.UnreadableError, match="is no readable"):
        reading.read(tmp_path / name, None, None)


def crossent_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crossent", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(crossent.__file__).resolve().parent.parent))
    z, y = batch()
    numpy.savez(tmp_path / "a.npz", z=z.numpy(), labels=y.numpy())
    done = crossent_command(tmp_path, "explain", "a.npz", "--logits", "z", "--samples", "1")
    assert done.returncode == 0 and f"{float(F.cross_entropy(z, y)):.4f}" in done.stdout, done.stderr
    done = crossent_command(tmp_path, "explain", "a.npz")
    assert done.returncode == 2 and "holds labels, z, and no 'logits'" in done.stderr


def test_rule_pages_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(crossent.__file__).resolve().parent.parent))
    page = crossent_command(tmp_path, "rule", "A1").stdout
    assert page.startswith("XEN101 softmax-before-cross-entropy (error") and "log(1 + (C - 1)/e)" in page
    assert crossent_command(tmp_path, "rule", "XEN999").returncode == 2


def test_a_segmentation_shows_where_its_loss_is(tmp_path: Path) -> None:
    """Cells are means over the pixels that count; an ignored cell is left out; classes add up to all of the loss."""
    logits, masks = torch.randn(2, 3, 6, 8), torch.randint(0, 3, (2, 6, 8))
    masks[1, 2] = 255
    seen = crossent.explain(logits, masks, ignore_index=255, worst=True, names=("a", "b", "c"))
    losses = torch.nn.functional.cross_entropy(logits.double(), masks, ignore_index=255, reduction="none")
    found = seen.loss_map
    means = [losses[image][masks[image] != 255].mean() for image in range(2)]
    assert (
        found is not None and found.image == int(torch.stack(means).argmax()) and (found.height, found.width) == (6, 8)
    )
    for y, row in enumerate(found.cells):
        for x, value in enumerate(row):
            is_read = masks[found.image, y, x] != 255
            assert (value is not None) == bool(is_read)
            assert value is None or math.isclose(value, float(losses[found.image, y, x]), rel_tol=1e-12)
    assert math.isclose(sum(part.share for part in found.classes), 1.0)
    assert sum(part.count for part in found.classes) == seen.valid
    assert found.classes[0].mean == pytest.approx(float(losses[masks == "abc".index(found.classes[0].name)].mean()))
    for ending in (".html", ".txt", ".png"):
        seen.save(tmp_path / f"map{ending}")
    assert "data:image/png;base64," in (tmp_path / "map.html").read_text()
    assert "x" * 8 in crossent.explain(logits[1:], masks[1:], ignore_index=255).__str__()


def test_a_large_map_is_averaged_and_small_in_bytes() -> None:
    logits = torch.zeros(1, 2, 256, 300)
    logits[0, 1, :128] = 4.0
    found = crossent.explain(logits, torch.zeros(1, 256, 300, dtype=torch.int64)).loss_map
    assert found is not None and len(found.cells) == len(found.cells[0]) == 64
    assert found.cells[0][0] == pytest.approx(math.log1p(math.exp(4))) and found.cells[-1][0] == pytest.approx(
        math.log(2)
    )
    assert len(heat.png(found)) < 20_000


def test_the_png_of_a_map_is_what_other_programs_read(tmp_path: Path) -> None:
    """Its pixels are the colours of their levels; ignored ones are transparent."""
    image = pytest.importorskip("matplotlib.image", reason="matplotlib reads the PNG back")
    logits, masks = torch.randn(1, 3, 4, 5), torch.randint(0, 3, (1, 4, 5))
    masks[0, 0, 0] = -100
    found = crossent.explain(logits, masks).loss_map
    assert found is not None
    (tmp_path / "map.png").write_bytes(heat.png(found))
    pixels = image.imread(tmp_path / "map.png")[:: heat.SCALE, :: heat.SCALE]
    assert pixels.shape == (4, 5, 4) and pixels[0, 0, 3] == 0
    for y, x in ((1, 2), (3, 4)):
        value = found.cells[y][x]
        assert value is not None
        wanted = heat.colour(round((heat.LEVELS - 1) * value / found.high))
        assert [round(255 * float(part)) for part in pixels[y, x]] == [*wanted, 255]


@pytest.mark.parametrize("class_dim", [1, 2])
@pytest.mark.parametrize("shift", [-1, 0, 1, 2])
def test_a_sequence_shows_how_its_labels_are_aligned(shift: int, class_dim: int) -> None:
    """Logits that know the token ``shift`` positions beyond the label's; every loss of the profile is torch's."""
    ids = torch.randint(0, 50, (3, 40))
    target, known = ids[:, 10:30], ids[:, 10 + shift : 30 + shift]
    logits = 5.0 * torch.nn.functional.one_hot(known, 50).double() + torch.randn(3, 20, 50)
    seen = crossent.explain(logits if class_dim == 2 else logits.transpose(1, 2), target, class_dim=class_dim)
    found = seen.profile
    assert found is not None and found.best == shift and found.is_off == (shift != 0)
    for by, loss in found.losses:
        kept = slice(max(0, -by), min(20, 20 - by))
        wanted = target[:, max(0, by) : min(20, 20 + by)]
        assert loss == pytest.approx(
            float(torch.nn.functional.cross_entropy(logits[:, kept].flatten(0, 1), wanted.flatten()))
        )
    assert ({0: "", 1: "XEN601"}.get(shift, "XEN602")) == found.code and found.code in str(seen)


def test_few_labels_have_no_profile() -> None:
    assert crossent.explain(torch.randn(1, 6, 5), torch.zeros(1, 6, dtype=torch.int64), class_dim=2).profile is None
