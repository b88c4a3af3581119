"""The doctor: what is wrong with this loss, said with evidence.

``crossent.doctor`` can be called: ``doctor(loss)`` or ``doctor(logits, target, **options)``. Its other names::

    doctor.watch(model=None, steps=...)         watch the losses of a block, as they are called
    doctor.batch(batch, tokenizer=None)         the labels of a language model's batch
    doctor.accumulation(losses, counts)         a mean of means against the mean over all targets
    doctor.crosscheck(loss_fn, logits, target)  any loss function against float64: value and gradient
    doctor.overfit(model, batch, loss_fn)       can a copy of the model learn one batch by heart?
    doctor.explain_error(exception)             torch's own exception, turned into advice

Everything is read-only: no gradient, no random number, no change of a tensor; a sample of rows is all that is copied.
Importing this module loads neither torch nor a rule.

    >>> import torch, crossent
    >>> probabilities = torch.linspace(-3, 3, 64).reshape(8, 8).softmax(1)
    >>> crossent.doctor(probabilities, torch.arange(8)).codes
    ['XEN101']
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossent.doctor.against_reference import crosscheck
    from crossent.doctor.batches import accumulation, batch
    from crossent.doctor.exceptions import explain_error
    from crossent.doctor.finding import Finding, LossDoctorError, LossDoctorWarning
    from crossent.doctor.overfitting import overfit
    from crossent.doctor.report import Report
    from crossent.doctor.watching import watch

_HOME = {
    "Finding": "crossent.doctor.finding",
    "LossDoctorError": "crossent.doctor.finding",
    "LossDoctorWarning": "crossent.doctor.finding",
    "Report": "crossent.doctor.report",
    "accumulation": "crossent.doctor.batches",
    "batch": "crossent.doctor.batches",
    "crosscheck": "crossent.doctor.against_reference",
    "explain_error": "crossent.doctor.exceptions",
    "overfit": "crossent.doctor.overfitting",
    "watch": "crossent.doctor.watching",
}

__all__ = [
    "Finding",
    "LossDoctorError",
    "LossDoctorWarning",
    "Report",
    "accumulation",
    "batch",
    "crosscheck",
    "explain_error",
    "overfit",
    "watch",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'crossent.doctor' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class Doctor(ModuleType):
    """A module that can be called, so that ``doctor(loss)`` and ``doctor.watch()`` are one name."""

    if TYPE_CHECKING:  # to a type checker a module cannot be called, so it sees an object with these attributes
        Finding = Finding
        LossDoctorError = LossDoctorError
        LossDoctorWarning = LossDoctorWarning
        Report = Report
        accumulation = staticmethod(accumulation)
        batch = staticmethod(batch)
        crosscheck = staticmethod(crosscheck)
        explain_error = staticmethod(explain_error)
        overfit = staticmethod(overfit)
        watch = staticmethod(watch)

    def __call__(self, loss_or_logits: Any, target: Any = None, **options: Any) -> Report:
        """Examine a loss by its graph, or a call by its values.

        Args:
            loss_or_logits: the tensor that a loss returned; or, with ``target``, the input of the loss.
            target: class indices or probabilities.
            options: torch's (``weight``, ``ignore_index``, ``reduction``, ``label_smoothing``, ``log_target``),
                ``class_dim``, and ``function`` ("cross_entropy", "nll_loss", "kl_div", ...).

        Returns:
            :class:`~crossent.doctor.report.Report`.

        Example:
            >>> import torch, crossent
            >>> logits = torch.linspace(-3, 3, 64).reshape(8, 8).requires_grad_()
            >>> loss = torch.nn.functional.cross_entropy(logits.softmax(1), torch.arange(8))
            >>> crossent.doctor(loss).codes
            ['XEN101']
        """
        from crossent.doctor import asked, place

        where = place.here()
        if target is None:
            if options:
                raise TypeError(f"doctor(loss) takes no options ({', '.join(options)}); they go with a target")
            return asked.about_loss(loss_or_logits, where)
        return asked.about_values(loss_or_logits, target, options, where)


sys.modules[__name__].__class__ = Doctor
