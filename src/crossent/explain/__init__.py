"""What a cross entropy is made of, on real data: ``crossent.explain(logits, target, ...)``.

The module can be called. What comes back prints as text, shows itself in rich consoles and notebooks, and writes
HTML and PNG files. Importing this module loads no torch.

    >>> import torch, crossent
    >>> crossent.explain(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])).denominator
    2.0
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossent.explain.numbers import Explanation

__all__: list[str] = []


class Explain(ModuleType):
    """A module that can be called."""

    def __call__(
        self,
        logits: Any,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        class_dim: int | None = None,
        names: Any = None,
        samples: int = 3,
        worst: bool = False,
        top: int = 5,
        loss: float | None = None,
        language: str = "en",
    ) -> Explanation:
        """Spell a cross entropy out.

        Args:
            logits, target, weight, ignore_index, reduction, label_smoothing: those of ``cross_entropy``.
            class_dim: where the classes are; None: where torch reads them.
            names: names of the classes.
            samples: how many rows are shown in full (at most 20): the first, or with ``worst`` the dearest.
            top: how many classes of a row are shown beside the labelled one.
            loss: the loss that you see; it is compared with what the common mistakes would give.
            language: "en" or "zh".

        Returns:
            :class:`~crossent.explain.numbers.Explanation`.

        Example:
            >>> import torch, crossent
            >>> seen = crossent.explain(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
            >>> round(seen.loss, 4), [round(row.loss, 4) for row in seen.rows]
            (0.7201, [0.1269, 1.3133])
        """
        from crossent.explain.numbers import Request, explanation

        request = Request(
            ignore_index, reduction, label_smoothing, class_dim, tuple(names or ()), samples, worst, top, loss, language
        )
        return explanation(logits, target, weight, request)


sys.modules[__name__].__class__ = Explain
