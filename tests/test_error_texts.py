"""What crossent adds to torch's refusals, word for word: one text for every code.

The first line of what torch refuses too is torch's own and changes with torch, so it is left out here (it
is compared in test_shapes_and_errors.py). ``EXPECTTEST_ACCEPT=1 pytest tests/test_error_texts.py`` rewrites
the texts; read the difference before it is committed.
"""

# ruff: noqa: E501  # the texts are as they are printed

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from expecttest import assert_expected_inline

import crossent
from crossent.refusals import REFUSALS
from serving import outcome

pytestmark = pytest.mark.usefixtures("no_small_calls")

cross_entropy, nll_loss = crossent.cross_entropy, crossent.nll_loss
X, Y, SEQ, TOKENS = (
    torch.zeros(3, 4),
    torch.tensor([0, 1, 2]),
    torch.zeros(2, 5, 4),
    torch.zeros(2, 5, dtype=torch.int64),
)


def added(call: Callable[[], Any]) -> str:
    """crossent's lines below torch's own."""
    exception = outcome(call)
    assert isinstance(exception, Exception), exception
    torchs, mark, ours = str(exception).partition("\n  crossent XEN")
    assert torchs and mark
    return (mark + ours).removeprefix("\n")


def test_xen001_input_dtype() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X.int(), Y)),
        """\
  crossent XEN001 (input-dtype): the input is int32: logits must be floating point
  came:     cross_entropy(input (3, 4) int32, target (3,) int64, ignore_index=-100, reduction='mean')
  expected: float16, bfloat16, float32 or float64 logits
  write:    input.float()""",
    )


def test_xen002_input_shape() -> None:
    assert_expected_inline(
        added(lambda: nll_loss(torch.tensor(1.0), torch.tensor(0))),
        """\
  crossent XEN002 (input-shape): the input has no class dimension
  came:     nll_loss(input () float32, target () int64, ignore_index=-100, reduction='mean')
  expected: (C), (N, C) or (N, C, d1, ..., dK)
  write:    input.unsqueeze(0) for one sample of C logits""",
    )


def test_xen003_one_hot_integer_target() -> None:
    one_hot = torch.nn.functional.one_hot(Y, 4)
    assert_expected_inline(
        added(lambda: cross_entropy(X, one_hot)),
        """\
  crossent XEN003 (one-hot-integer-target): the target has the input's shape and holds integers: one-hot labels?
  came:     cross_entropy(input (3, 4) float32, target (3, 4) int64, ignore_index=-100, reduction='mean')
  expected: class indices (3,) int64, or floating point probabilities (3, 4)
  write:    target.argmax(1)   (or target.float(), which divides a weighted mean by N instead)""",
    )


def test_xen004_float_index_target() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y.float())),
        """\
  crossent XEN004 (float-index-target): the target has the shape of class indices but is float32
  came:     cross_entropy(input (3, 4) float32, target (3,) float32, ignore_index=-100, reduction='mean')
  expected: class indices (3,) int64
  write:    target.long()""",
    )


def test_xen005_target_extra_axis() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y[:, None])),
        """\
  crossent XEN005 (target-extra-axis): the target has an extra axis of size 1
  came:     cross_entropy(input (3, 4) float32, target (3, 1) int64, ignore_index=-100, reduction='mean')
  expected: class indices (3,)
  write:    target.squeeze(1)""",
    )


def test_xen006_class_dimension_last() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(SEQ, TOKENS)),
        """\
  crossent XEN006 (class-dimension-last): the target fits logits whose classes are in the last dimension
  came:     cross_entropy(input (2, 5, 4) float32, target (2, 5) int64, ignore_index=-100, reduction='mean')
  expected: classes in dimension 1: the index target of (2, 5, 4) is (2, 4)
  write:    cross_entropy(input, target, class_dim=-1)   (or input.movedim(-1, 1))""",
    )


def test_xen007_target_shape() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y[:2])),
        """\
  crossent XEN007 (target-shape): the target's shape does not fit the input's
  came:     cross_entropy(input (3, 4) float32, target (2,) int64, ignore_index=-100, reduction='mean')
  expected: class indices (3,), or (cross_entropy only) probabilities (3, 4)
  write:    a target of one of these shapes""",
    )


def test_xen008_target_dtype() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y.int())),
        """\
  crossent XEN008 (target-dtype): the target is int32
  came:     cross_entropy(input (3, 4) float32, target (3,) int32, ignore_index=-100, reduction='mean')
  expected: class indices of dtype int64
  write:    target.long()""",
    )


def test_xen009_target_out_of_range() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, torch.tensor([0, 9, 7]))),
        """\
  crossent XEN009 (target-out-of-range): 2 of 3 targets are outside the classes: they lie in [0, 9]
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, ignore_index=-100, reduction='mean')
  expected: 0 <= target < 4, or ignore_index=-100 for positions without a label
  write:    a head of at least 10 classes, or labels mapped to 0..3""",
    )


def test_xen009_a_mark_that_is_not_the_ignore_index() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, torch.tensor([0, -1, 3]))),
        """\
  crossent XEN009 (target-out-of-range): 1 of 3 targets are outside the classes: they lie in [-1, 3]
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, ignore_index=-100, reduction='mean')
  expected: 0 <= target < 4, or ignore_index=-100 for positions without a label
  write:    ignore_index=-1   (if -1 marks positions without a label)""",
    )


def test_xen009_unlabelled_pixels() -> None:
    pixels = torch.tensor([0, 255, 3], dtype=torch.uint8)
    assert_expected_inline(
        added(lambda: cross_entropy(X, pixels)),
        """\
  crossent XEN009 (target-out-of-range): 1 of 3 targets are outside the classes: they lie in [0, 255]
  came:     cross_entropy(input (3, 4) float32, target (3,) uint8, ignore_index=-100, reduction='mean')
  expected: 0 <= target < 4, or ignore_index=-100 for positions without a label
  write:    ignore_index=255   (255 is the usual mark of unlabelled pixels)""",
    )


def test_xen010_target_one_based() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, torch.tensor([1, 4, 2]))),
        """\
  crossent XEN010 (target-one-based): the targets lie in [1, 4]: they look 1-based
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, ignore_index=-100, reduction='mean')
  expected: 0 <= target < 4
  write:    target - 1""",
    )


def test_xen011_weight_shape() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y, torch.ones(3))),
        """\
  crossent XEN011 (weight-shape): the class weight has shape (3,)
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, weight (3,) float32, ignore_index=-100, reduction='mean')
  expected: one weight per class: (4,)
  write:    a weight of 4 numbers (per-sample weights go to sample_weight=)""",
    )


def test_xen012_weight_dtype() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y, torch.ones(4, dtype=torch.float64))),
        """\
  crossent XEN012 (weight-dtype): the class weight is float64, the input float32
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, weight (4,) float64, ignore_index=-100, reduction='mean')
  expected: a weight of the input's dtype
  write:    weight.to(input.dtype)""",
    )


def test_xen013_argument_type() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y, ignore_index=1.5)),
        """\
  crossent XEN013 (argument-type): an argument has a type that torch does not take
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, ignore_index=1.5, reduction='mean')
  expected: tensors for input, target and weight; an int for ignore_index; a float for label_smoothing
  write:    weight=torch.as_tensor(...), ignore_index=int(...), label_smoothing=float(...)""",
    )


def test_xen014_reduction() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y, reduction="average")),
        """\
  crossent XEN014 (reduction): reduction='average' is unknown
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, ignore_index=-100, reduction='average')
  expected: 'none', 'mean' or 'sum'
  write:    reduction='mean'""",
    )


def test_xen015_label_smoothing() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y, label_smoothing=10.0)),
        """\
  crossent XEN015 (label-smoothing): label_smoothing=10.0 is out of range
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, ignore_index=-100, reduction='mean')
  expected: 0 <= label_smoothing <= 1
  write:    label_smoothing=0.1""",
    )


def test_xen016_ignore_index_with_probabilities() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, X.softmax(1), ignore_index=0)),
        """\
  crossent XEN016 (ignore-index-with-probabilities): ignore_index=0 with a probability target
  came:     cross_entropy(input (3, 4) float32, target (3, 4) float32, ignore_index=0, reduction='mean')
  expected: no ignore_index: a row of probabilities has no label to compare
  write:    sample_weight=mask   (and denominator=mask.sum())""",
    )


def test_xen017_swapped_arguments() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(Y, X)),
        """\
  crossent XEN017 (swapped-arguments): the input holds integers and the target floating point numbers: swapped?
  came:     cross_entropy(input (3,) int64, target (3, 4) float32, ignore_index=-100, reduction='mean')
  expected: cross_entropy(logits, target)
  write:    cross_entropy(target, input)""",
    )


def test_xen018_device() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, Y, torch.ones(4, device="meta"))),
        """\
  crossent XEN018 (device): input, target and weight are on different devices
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, weight (4,) float32, ignore_index=-100, reduction='mean')
  expected: one device for all: cpu
  write:    target.to(input.device), weight.to(input.device)""",
    )


def test_xen019_weight_gradient() -> None:
    weight = torch.ones(4, requires_grad=True)
    assert_expected_inline(
        added(lambda: cross_entropy(X.clone().requires_grad_(), Y, weight)),
        """\
  crossent XEN019 (weight-gradient): the class weight requires a gradient
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, weight (4,) float32, ignore_index=-100, reduction='mean')
  expected: a constant class weight (only probability targets differentiate it)
  write:    weight.detach(), or sample_weight=weight[target]""",
    )


def test_xen020_target_type() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X, [0, 1, 2])),
        """\
  crossent XEN020 (target-type): target is not a tensor but list
  came:     cross_entropy(input (3, 4) float32, target list [0, 1, 2], ignore_index=-100, reduction='mean')
  expected: a torch.Tensor
  write:    torch.as_tensor(target)""",
    )


def test_xen029_other() -> None:
    assert_expected_inline(
        added(lambda: cross_entropy(X.to_sparse(), Y)),
        """\
  crossent XEN029 (other): torch refuses this call
  came:     cross_entropy(input (3, 4) float32, target (3,) int64, ignore_index=-100, reduction='mean')
  expected: see the first line
  write:    see the first line""",
    )


def test_every_code_has_its_text() -> None:
    """Codes of the losses (XEN001 to XEN042) are each tested by name, here or in test_own_refusals.py."""
    files = (Path(__file__), Path(__file__).with_name("test_own_refusals.py"))
    tested = {code for file in files for code in re.findall(r"def test_xen(\d{3})_", file.read_text(encoding="utf-8"))}
    assert tested == {code[3:] for code in REFUSALS if code <= "XEN042"}
    assert len({refusal.name for refusal in REFUSALS.values()}) == len(REFUSALS)
