"""One part of a case in a process of its own: ``python -m crossent.bench.linear.child PART``, the task on stdin."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from crossent import peak_memory
from crossent.bench import load, timing
from crossent.bench.linear import cases, providers
from crossent.bench.linear.cases import Case
from crossent.bench.linear.providers import Call, Problem
from crossent.bench.timing import Timed

ERROR_ROWS, ERROR_CLASSES = 256, 8192  # errors are taken on at most so much: float64 logits have to fit, too


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Times of all providers in turns, and their errors."""
    case = cases.by_name(task["case"])
    problem = Problem(case)
    calls: dict[str, Call] = {}
    report: dict[str, Any] = {"failed": {}, "left_out": providers.absent()}
    for name, make in providers.makers(problem).items():
        try:
            calls[name] = make()
            calls[name]()
        except Exception as error:  # a competitor that cannot run this case is a fact, not the end
            calls.pop(name, None)
            report["failed"][name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    before = load.Usage.now()
    report["rows"] = _timed(calls, task)
    report["errors"] = _errors(case, list(calls))
    report["others_cpu"] = load.share_of_others(before, load.Usage.now())
    return report


def choose(task: dict[str, Any]) -> dict[str, Any]:
    """Times of all plans beside the one that is chosen."""
    problem = Problem(cases.by_name(task["case"]))
    ways = {name: make() for name, make in providers.plans(problem).items()}
    before = load.Usage.now()
    times = _timed({"choice": problem.both(providers.ours()), **ways}, task)
    return {"plans": times, "others_cpu": load.share_of_others(before, load.Usage.now())}


def _timed(calls: dict[str, Call], task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    participants = [Timed(name, _nothing, call) for name, call in calls.items()]
    times = timing.in_turns(
        participants, seconds=task["seconds"], rounds=task["rounds"], after_round=lambda done, planned: None
    )
    return {name: times[name].summary() for name in calls}


def _errors(case: Case, names: list[str]) -> dict[str, list[float]]:
    """Relative Frobenius errors against float64 of loss, d input, d weight."""
    small = Problem(Case(min(case.rows, ERROR_ROWS), case.features, min(case.classes, ERROR_CLASSES), case.dtype))
    wide = [tensor.detach().double().requires_grad_() for tensor in (small.input, small.head)]
    truth = F.cross_entropy(F.linear(*wide), small.target)
    truth.backward()
    makers, found = providers.makers(small), dict[str, list[float]]()
    for name in names:
        if providers.exact(name):
            value = makers[name]()()
            pairs = ((value, truth), (small.input.grad, wide[0].grad), (small.head.grad, wide[1].grad))
            found[name] = [_off(mine, exact) for mine, exact in pairs]
    return found


def _off(mine: Any, exact: Any) -> float:
    mine, exact = cast(Tensor, mine).detach().double(), cast(Tensor, exact).detach()
    return ((mine - exact).norm() / exact.norm()).item()


def remember(task: dict[str, Any]) -> dict[str, Any]:
    """Peak memory of one provider's call beside inputs and returned gradients."""
    case, name = cases.by_name(task["case"]), task["provider"]
    small, problem = Problem(Case(64, case.features, case.classes, case.dtype)), Problem(case)
    warm = problem if name.startswith("torch.compile") else small  # what is compiled for one shape must see it
    call = providers.makers(problem)[name]()
    (call if warm is problem else providers.makers(small)[name]())()
    for each in (small, problem):
        each.input.grad = each.head.grad = None
    used = peak_memory.extra_bytes(call)
    gradients = (problem.input.grad, problem.head.grad)
    returned = sum(gradient.nbytes for gradient in gradients if gradient is not None)
    return {"extra_bytes": None if used is None else max(0, used - returned)}


def _nothing() -> None: ...


if __name__ == "__main__":
    given = json.load(sys.stdin)
    torch.set_num_threads(given["threads"])
    answer = {"rows": measure, "plans": choose, "memory": remember}[sys.argv[1]](given)
    print(json.dumps(answer), flush=True)
