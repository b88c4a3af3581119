"""crossent: cross entropy for PyTorch, exact, fast, and checked.

Importing the package imports torch and nothing else of weight: the kernels (Numba, Triton), the command
line and the demo load when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from crossent._version import __version__

if TYPE_CHECKING:
    from crossent.dispatch import empty_cache
    from crossent.doctor import Doctor
    from crossent.explain import Explain
    from crossent.functional import (
        CrossEntropyStats,
        cross_entropy,
        cross_entropy_with_stats,
        log_softmax,
        nll_loss,
    )
    from crossent.linear.functional import (
        LinearCrossEntropyStats,
        linear_cross_entropy,
        linear_cross_entropy_with_stats,
        linear_log_prob,
    )
    from crossent.linear.modules import LinearCrossEntropyLoss
    from crossent.linear.plan import LinearPlan
    from crossent.modules import CrossEntropyLoss, LogSoftmax, NLLLoss
    from crossent.patching import patch, unpatch

    doctor: Doctor
    explain: Explain

_HOME = {
    "CrossEntropyLoss": "crossent.modules",
    "CrossEntropyStats": "crossent.functional",
    "LinearCrossEntropyLoss": "crossent.linear.modules",
    "LinearCrossEntropyStats": "crossent.linear.functional",
    "LinearPlan": "crossent.linear.plan",
    "LogSoftmax": "crossent.modules",
    "NLLLoss": "crossent.modules",
    "cross_entropy": "crossent.functional",
    "cross_entropy_with_stats": "crossent.functional",
    "empty_cache": "crossent.dispatch",
    "linear_cross_entropy": "crossent.linear.functional",
    "linear_cross_entropy_with_stats": "crossent.linear.functional",
    "linear_log_prob": "crossent.linear.functional",
    "log_softmax": "crossent.functional",
    "nll_loss": "crossent.functional",
    "patch": "crossent.patching",
    "unpatch": "crossent.patching",
}

_ROOMS = ("doctor", "explain")  # modules that are public by their own name, and can be called

__all__ = [
    "CrossEntropyLoss",
    "CrossEntropyStats",
    "LinearCrossEntropyLoss",
    "LinearCrossEntropyStats",
    "LinearPlan",
    "LogSoftmax",
    "NLLLoss",
    "__version__",
    "cross_entropy",
    "cross_entropy_with_stats",
    "doctor",
    "empty_cache",
    "explain",
    "linear_cross_entropy",
    "linear_cross_entropy_with_stats",
    "linear_log_prob",
    "log_softmax",
    "nll_loss",
    "patch",
    "unpatch",
]


if not TYPE_CHECKING:  # a type checker that saw it would take any misspelt name for a public one

    def __getattr__(name: str) -> Any:
        """Load a public name from the module it lives in, on first use (PEP 562)."""
        if name in _ROOMS:
            return importlib.import_module(f"crossent.{name}")
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module 'crossent' has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
