"""``doctor.watch``: the losses of a block, looked at while they are called.

For the time of the block the losses in ``torch.nn.functional`` and crossent's own are wrapped. A watched call costs
a walk of the graph and a sample of rows; a call that is not watched costs one comparison. Watched are the first
``steps`` optimizer steps and then every ``every``-th; within a step at most 32 calls of one line.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossent.doctor import examine, given
from crossent.doctor.arguments import record_of
from crossent.doctor.exceptions import explain_error, explained_by
from crossent.doctor.finding import Finding, LossDoctorWarning, Place
from crossent.doctor.hooks import Hooks
from crossent.doctor.moments import Accumulation, Backward, PastLoss, Step, Unreduced
from crossent.doctor.place import of_caller, readable
from crossent.doctor.record import CallRecord, Embedded, Labels, Resized
from crossent.doctor.report import Report

CALLS_PER_STEP = 32  # of one line
EMBEDDINGS_KEPT = 8
RESIZED_KEPT = 32  # a data set may resize one mask at a time
LOSSES_KEPT = 8
BATCHES_KEPT = 8
Announce = Callable[[Finding], None]


def watch(
    model: torch.nn.Module | None = None,
    steps: int = 3,
    every: int = 1000,
    *,
    announce: Announce | str | None = "warn",
    all_ranks: bool = False,
) -> Watch:
    """Watch the losses that are called inside a ``with`` block.

    Args:
        model: if given, losses while it is in eval mode are evaluation even where gradients are on, and its parameters
            are called by their names.
        steps: optimizer steps watched from the start; calls before the first step count as step 0.
        every: after them, each step whose number is a multiple of this is watched again; 0: none.
        announce: "warn" warns of each finding once per line as it is found (:class:`LossDoctorWarning`), a
            function is called with it, None keeps silent.
        all_ranks: watch in every process of a distributed job, not in rank 0 only.

    Returns: a context manager with a ``report``.

    Example:
        >>> import torch, crossent
        >>> model, x, y = torch.nn.Linear(4, 8), torch.eye(4), torch.arange(4)
        >>> with crossent.doctor.watch(announce=None) as watching:
        ...     loss = torch.nn.functional.cross_entropy(model(x).softmax(1), y)
        >>> watching.report.codes
        ['XEN101']
    """
    given.whole("steps", steps, 0)
    given.whole("every", every, 0)
    if model is not None:
        given.instance("model", model, torch.nn.Module, "a torch.nn.Module or None")
    if announce not in ("warn", None):
        given.function("announce", announce, "'warn', None, or a function that is called with each finding")
    is_off = not all_ranks and os.environ.get("RANK", "0") not in ("", "0")
    return Watch(model, steps, every, announce, is_off)


class Site(NamedTuple):
    """A line that calls a loss."""

    function: str
    place: Place


class Line:
    """What is remembered of a site from call to call."""

    def __init__(self) -> None:
        self.calls = 0
        self.in_step = 0
        self.labels: list[Labels] = []
        self.codes: frozenset[str] = frozenset()


class Watch:
    """What :func:`watch` returns."""

    def __init__(
        self,
        model: torch.nn.Module | None,
        steps: int,
        every: int,
        announce: Announce | str | None,
        is_off: bool = False,
    ) -> None:
        self._model, self._steps, self._every = model, steps, every
        self._announce, self._is_off = announce, is_off
        self._findings: dict[tuple[str, str, int], Finding] = {}
        self._limits: dict[str, None] = {}
        self._lock = threading.RLock()
        self._thread = threading.local()
        self._step = 0
        self._lines: dict[Site, Line] = defaultdict(Line)
        self._means: dict[tuple[Site, bool], list[tuple[float, int]]] = {}
        self._losses: list[PastLoss] = []
        self._unreduced: list[Unreduced] = []
        self._went_backward: tuple[Place, tuple[PastLoss, ...]] | None = None
        self._backwards = 0
        self._embedded: list[Embedded] = []
        self._resized: list[Resized] = []
        self._places: dict[Place, Place] = {}
        self._hooks = Hooks(self)
        self.is_due = False  # until the block begins
        self._next_due = every
        self.watched_calls = 0

    @property
    def report(self) -> Report:
        """What was found so far."""
        with self._lock:
            calls = f"{self.watched_calls} watched loss call{'s' if self.watched_calls != 1 else ''}"
            return Report(list(self._findings.values()), list(self._limits), calls)

    def __enter__(self) -> Watch:
        if not self._is_off:
            self._plan()
            self._hooks.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.remove()
        self.is_due = False  # of a wrapper that somebody has covered, and that stays for that reason
        self._finish_step(is_whole=False)
        if isinstance(error, Exception):
            self._add(explain_error(error).findings, [])

    # ---- what the hooks call -------------------------------------------------------------------

    def call(self, function: str, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a loss of a step that is due, and look at the call."""
        if getattr(self._thread, "is_busy", False):
            return original(*args, **kwargs)
        self._thread.is_busy = True  # crossent's losses may call torch's: one call is looked at once
        try:
            result = original(*args, **kwargs)
        except Exception as error:
            self.refused(function, args, kwargs, error)
            raise
        else:
            self._look(function, args, kwargs, result)
            return result
        finally:
            self._thread.is_busy = False

    def refused(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> None:
        """A loss has raised."""
        record = self._record(function, args, kwargs, of_caller(4))
        if record is None:
            return
        record.error = error
        findings, limits = examine.refused(record)
        self._add(findings, limits)
        explained_by(error, findings)

    def backward(self, root: Tensor, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``root.backward()``, looked at before it runs."""
        self._backwards += 1
        losses = tuple(self._losses[-LOSSES_KEPT:])
        place = readable(of_caller(3))
        facts = Backward(root, losses, tuple(self._unreduced[-LOSSES_KEPT:]))
        findings, limits = examine.moment("backward", facts, place, "backward")
        said = {code for loss in losses for code in loss.codes}  # of these losses, when they were called
        self._add([finding for finding in findings if finding.code not in said], limits)
        self._went_backward = (place, losses)
        self._losses.clear()
        self._unreduced.clear()
        self._embedded.clear()
        self._resized.clear()
        try:
            return original(root, *args, **kwargs)
        except RuntimeError as error:
            codes = {finding.code for finding in explain_error(error).findings} & said
            explained_by(error, self._said_of(losses, codes) if root.requires_grad or not findings else findings)
            raise

    def embedding(self, ids: Any, weight: Any, padding_idx: int | None) -> None:
        """Token ids were looked up."""
        if getattr(self._thread, "is_busy", False):
            return  # a loss looks rows of its head up
        if isinstance(ids, Tensor) and isinstance(weight, Tensor) and ids.dim() == 2:
            self._embedded = [
                *self._embedded[1 - EMBEDDINGS_KEPT :],
                Embedded(ids.detach(), weight.shape[0], padding_idx),
            ]

    def interpolated(self, before: Any, after: Any) -> None:
        """``F.interpolate`` has mixed neighbours: kept if it turned whole numbers on the CPU into fractions."""
        if not isinstance(before, Tensor) or not isinstance(after, Tensor) or before.requires_grad:
            return
        if before.device.type == "cpu" and before.is_floating_point():
            found = Resized.of(before.detach(), after.detach())
            if found is not None:
                self._resized = [*self._resized[1 - RESIZED_KEPT :], found]

    def optimizer_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """An optimizer has made a step: what is done here is done after each, watched or not."""
        if self.is_due:
            self._finish_step()
            self._look_at_step(optimizer)
        self._step += 1
        if self.is_due or self._step == self._next_due:
            self._plan()

    def _plan(self) -> None:
        """Whether the step that begins now is watched, and which is if it is not."""
        is_kth = bool(self._every and self._step) and self._step % self._every == 0
        self.is_due = self._step < self._steps or is_kth
        self._next_due = self._step - self._step % self._every + self._every if self._every else -1
        self._hooks.attend(self.is_due)

    # ---- looking -------------------------------------------------------------------------------

    def _look(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        site = Site(function, of_caller(4))
        line = self._lines[site]
        line.in_step += 1
        if line.in_step > CALLS_PER_STEP:
            return
        record = self._record(function, args, kwargs, site.place)
        result = getattr(result, "loss", result)  # of the functions that return read-outs beside it
        if record is None or not isinstance(result, Tensor):
            return
        record.result = result
        record.index, record.earlier, record.known = line.calls, tuple(line.labels), line.codes
        line.calls += 1
        self.watched_calls += 1
        findings, limits = examine.call(record)
        self._add(findings, limits)
        codes = tuple(finding.code for finding in findings)
        line.codes |= frozenset(codes)
        self._remember(record, site, codes)

    def _record(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], called: Place) -> CallRecord | None:
        record = record_of(function, args, kwargs)
        if record is not None:
            record.place = self._readable(called)
            record.is_watched = True
            record.model = self._model
            record.embedded = tuple(self._embedded)
            record.resized = tuple(self._resized)
        return record

    def _readable(self, place: Place) -> Place:
        if place not in self._places:
            self._places[place] = readable(place)
        return self._places[place]

    def _remember(self, record: CallRecord, site: Site, codes: tuple[str, ...]) -> None:
        """The loss and its count, for the rules on means of means; the range of the labels."""
        loss, count = record.loss, record.valid_count
        if record.labels is not None:
            self._lines[site].labels = [*self._lines[site].labels[1 - BATCHES_KEPT :], record.labels]
        assert record.result is not None
        if loss is None and count is not None and record.reduction == "none":
            self._unreduced.append(Unreduced(str(record.place), record.result.numel(), count))
        if loss is None:
            return
        of_a_leaf = record.source.grad_fn is None and record.source.requires_grad
        has_graph = record.result.requires_grad
        decided = record.grad_enabled and not has_graph and record.is_whole_numbers
        place = str(record.place)
        self._losses.append(PastLoss(loss, place, record.grad_enabled, has_graph, of_a_leaf, count, codes, decided))
        if record.reduction == "mean" and count and record.weight is None:
            is_training = record.grad_enabled and (record.model is None or record.model.training)
            self._means.setdefault((site, is_training), []).append((loss, count))

    def _finish_step(self, is_whole: bool = True) -> None:
        """Means of one line in one optimizer step; evaluation is one step, however long.

        Not ``is_whole``: no optimizer has ended it (a script may update its parameters itself), so that nothing is
        known of what was accumulated.
        """
        with self._lock:
            means, self._means = self._means, {}
            backwards, self._backwards = self._backwards, 0
            for line in self._lines.values():
                line.in_step = 0
        for (site, is_training), pairs in means.items():
            if is_training and (backwards < 2 or not is_whole):
                continue
            facts = Accumulation(tuple(loss for loss, _ in pairs), tuple(n for _, n in pairs), is_watched=True)
            kind = "accumulation" if is_training else "evaluation"
            self._add(*examine.moment(kind, facts, self._readable(site.place), site.function))

    def _look_at_step(self, optimizer: torch.optim.Optimizer) -> None:
        went, self._went_backward = self._went_backward, None
        if went is not None:
            has_gradients = any(p.grad is not None for group in optimizer.param_groups for p in group["params"])
            self._add(*examine.moment("step", Step(has_gradients, went[1]), went[0], "backward"))

    def _said_of(self, losses: tuple[PastLoss, ...], codes: set[str]) -> list[Finding]:
        """The findings of these codes at the calls of these losses."""
        places = {loss.place for loss in losses}
        return [known for known in self._findings.values() if known.code in codes and str(known.place) in places]

    def _add(self, findings: list[Finding], limits: list[str]) -> None:
        for limit in limits:
            self._limits.setdefault(limit)
        for finding in findings:
            key = (finding.code, finding.file, finding.line)
            with self._lock:
                is_new = key not in self._findings
                self._findings.setdefault(key, finding)
            if is_new:
                self._say(finding)

    def _say(self, finding: Finding) -> None:
        if callable(self._announce):
            self._announce(finding)
        elif self._announce == "warn":
            text = str(finding)
            warnings.warn_explicit(text, LossDoctorWarning, finding.file, finding.line)
