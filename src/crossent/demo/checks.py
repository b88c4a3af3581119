"""What the demo promises, as checks: each says what was expected and what came."""

from __future__ import annotations

from typing import NamedTuple

from crossent.demo.identity import Way
from crossent.demo.large import Measured
from crossent.demo.training import Training

FIRST_STEPS = 20
FIRST_TOLERANCE = 1e-6  # rounding of float32, before training has amplified it
RUN_TOLERANCE = 1e-3  # two right losses drift apart: each step feeds its rounding into the next
IDENTITY_TOLERANCE = 1e-6
LARGE_TOLERANCE = 1e-5  # a sum over 32000 classes in another order


class Check(NamedTuple):
    """One promise."""

    promise: str
    kept: bool
    came: str


def relative(ours: float, theirs: float) -> float:
    """The relative difference; NaN counts as infinite, so that no comparison lets it pass."""
    difference = abs(ours - theirs) / max(abs(theirs), 1e-12)
    return difference if difference == difference else float("inf")


def differences(theirs: Training, ours: Training) -> list[float]:
    """Relative, step by step."""
    return [relative(b, a) for a, b in zip(theirs.losses, ours.losses, strict=True)]


def of_training(theirs: Training, ours: Training) -> list[Check]:
    steps = differences(theirs, ours)
    first = min(FIRST_STEPS, len(steps))
    return [
        _within(f"the first {first} steps agree to {FIRST_TOLERANCE:.0e}", steps[:first], FIRST_TOLERANCE),
        _within(f"all {len(steps)} steps agree to {RUN_TOLERANCE:.0e}", steps, RUN_TOLERANCE),
        Check(
            "the final accuracy is equal",
            ours.right == theirs.right,
            f"torch {theirs.right}, crossent {ours.right} of {theirs.test_rows} right",
        ),
    ]


def _within(promise: str, steps: list[float], tolerance: float) -> Check:
    worst = max(range(len(steps)), key=steps.__getitem__)
    return Check(
        promise, steps[worst] <= tolerance, f"largest relative difference {steps[worst]:.1e}, step {worst + 1}"
    )


def of_identity(ways: list[Way]) -> list[Check]:
    same = [way.value for way in ways if way.is_cross_entropy]
    worst = max(relative(value, same[0]) for value in same)
    promise = f"CrossEntropyLoss is log_softmax and nll_loss to {IDENTITY_TOLERANCE:.0e}"
    return [Check(promise, worst <= IDENTITY_TOLERANCE, f"largest relative difference {worst:.1e}")]


def of_large(theirs: Measured, ours: Measured) -> list[Check]:
    if theirs.failure or ours.failure:
        return [Check("both losses run at the large size", False, theirs.failure or ours.failure)]
    worst = relative(ours.loss, theirs.loss)
    promise = f"the large loss agrees to {LARGE_TOLERANCE:.0e}"
    return [Check(promise, worst <= LARGE_TOLERANCE, f"torch {theirs.loss:.7f}, crossent {ours.loss:.7f}")]
