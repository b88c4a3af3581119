"""The other outputs of one pass: nll, logsumexp, entropy, z-loss, and what was predicted.

All are functions of the statistics of a row, so they cost a few numbers per row in the forward pass,
and their upstream gradients are added into the coefficients of the one gradient pass. Only ``nll`` of
a weighted or smoothed loss scores against another target row (the plain one), so it takes a pass of
its own.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from crossent import stats
from crossent.backends.protocol import Backend, RowProblem
from crossent.problem import Layout
from crossent.stats import GradCoefficients, RowStats

FIELDS = ("nll", "logsumexp", "entropy", "z_loss", "predicted", "correct", "rank")


def fields(backend: Backend, layout: Layout, problem: RowProblem, numbers: RowStats | None) -> tuple[Tensor, ...]:
    """FIELDS in the index target's shape; rows that are not read hold 0, False or -1."""
    assert numbers is not None
    plain = plain_problem(problem)
    nll = stats.cross_entropy(numbers if plain is problem else backend.row_stats(plain), weighted=plain.weighted)
    lse = stats.logsumexp(numbers)
    reading = backend.row_read(problem)
    if problem.is_index:
        correct = (reading.predicted == problem.target) & (problem.target != problem.skip)
    else:
        correct = reading.predicted == problem.target.detach().max(1).indices
    squares = problem.z_loss * lse.square() if problem.z_loss else torch.zeros_like(lse)  # not 0 * inf
    rows = (nll, lse, stats.entropy(numbers), squares)
    return (
        *(layout.from_rows(row) for row in rows),
        layout.from_rows(reading.predicted, -1),
        layout.from_rows(correct, False),
        layout.from_rows(reading.rank, -1),
    )


def constant(fields: tuple[Tensor, ...], needs_input_grad: tuple[bool, ...]) -> tuple[Tensor, ...]:
    """Those of FIELDS that depend on nothing that needs a gradient (``needs_input_grad`` as RowLoss has it)."""
    _, wants_input, wants_target, _, _, _, wants_scale = needs_input_grad
    if wants_input or wants_scale:
        return fields[4:]
    return fields[1:] if wants_target else fields  # probabilities are in nll alone


def plain_problem(problem: RowProblem) -> RowProblem:
    """The same rows without class weights and smoothing; the problem itself where it has none."""
    if problem.class_weight is None and problem.on == 1.0 and problem.off == 0.0:
        return problem
    return replace(problem, class_weight=None, on=1.0, off=0.0)


def coefficients(
    layout: Layout, problem: RowProblem, numbers: RowStats, upstream: tuple[Tensor | None, ...]
) -> list[tuple[RowProblem, GradCoefficients]]:
    """What the upstream gradients of nll, logsumexp, entropy and z_loss ask of the gradient pass."""
    nll, lse, entropy, z_loss = (
        None if g is None else layout.per_row(g, problem.row_shape).to(problem.compute_dtype) for g in upstream[:4]
    )
    parts: list[tuple[RowProblem, GradCoefficients]] = []
    if nll is not None:
        mass = torch.ones_like(nll) if problem.is_index else problem.target.to(nll.dtype).sum(1)
        parts.append((plain_problem(problem), GradCoefficients(soft=nll * mass, hard=nll)))
    if lse is not None or entropy is not None or z_loss is not None:
        through_lse = torch.zeros_like(numbers.max) if lse is None else lse
        if z_loss is not None:
            through_lse = through_lse + 2.0 * problem.z_loss * stats.logsumexp(numbers) * z_loss
        parts.append((problem, stats.readout_coefficients(numbers, through_lse, entropy)))
    return parts


def joined(parts: list[tuple[RowProblem, GradCoefficients]]) -> list[tuple[RowProblem, GradCoefficients]]:
    """Coefficients of one and the same target row, added up: one gradient pass each."""
    passes: list[tuple[RowProblem, GradCoefficients]] = []
    for problem, own in parts:
        for index, (other, known) in enumerate(passes):
            if other is problem:
                bend = own.bend if known.bend is None else known.bend if own.bend is None else known.bend + own.bend
                passes[index] = (
                    problem,
                    GradCoefficients(soft=known.soft + own.soft, hard=known.hard + own.hard, bend=bend),
                )
                break
        else:
            passes.append((problem, own))
    return passes
