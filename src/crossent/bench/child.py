"""One case in a process of its own: ``python -m crossent.bench.child time|memory`` with the task as JSON on stdin.

A process per case, so that no case inherits the memory, the compiled code or the allocator settings of another one.
It prints one line of JSON per event; the last one is the result.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from crossent.bench import agreement, allocator, copying, inputs, load, places, providers, serving, timing
from crossent.bench.cases import BOTH, CPU, FRESH, WARM, by_name
from crossent.bench.inputs import Inputs
from crossent.bench.providers import Provider, Step
from crossent.bench.timing import Timed

Say = Callable[..., None]
WARM_UPS = 2
# Compared on warm memory, too. In place needs none; crossent in torch.compile adds nothing to what it shows fresh.
ON_WARM_MEMORY = (providers.EAGER, providers.COMPILED, providers.OURS)


def measure(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """Check, then time, all providers on one case."""
    case = by_name(task["case"])
    torch.set_num_threads(task["threads"])
    made = inputs.make(case)
    report: dict[str, Any] = {"case": case.name, "left_out": {}, "failed": {}, "rows": []}
    ready = _agreed(made, task["providers"], report, say)
    copies = copying.products(made) if case.features else copying.ways(made.logits)
    _phase(FRESH, ready, copies, task, report, say)
    if case.features and case.device != CPU and case.mode == BOTH:
        report["plans"] = _plans(made, task, report, say)
    if case.device == CPU and case.mode == BOTH and not case.is_small:
        reason = allocator.keep_freed_memory()
        again = [each for each in ready if each[0] in ON_WARM_MEMORY]
        if reason is None:
            _phase(WARM, again, copies, task, report, say)
        else:
            report["left_out"][WARM] = reason
    return report


Ready = tuple[Provider, Step, dict[str, Any]]


def _agreed(made: Inputs, labels: Iterable[str], report: dict[str, Any], say: Say) -> list[Ready]:
    """The providers whose results are right, with what is known about them so far."""
    say("step", text="the standard")
    expected = agreement.standard(made)
    ready: list[Ready] = []
    for provider in map(providers.by_label, labels):
        reason = provider.why_not(made.case)
        if reason is not None:
            report["left_out"][provider.label] = reason
            continue
        say("step", text=f"checking {provider.label}")
        try:
            step, facts = _checked(provider, made, expected)
        except Exception as error:  # a competitor that cannot run this case is a fact, not the end
            report["failed"][provider.label] = f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
            continue
        wrong = facts.pop("wrong")
        if wrong is not None:
            report["failed"][provider.label] = wrong
        else:
            ready.append((provider, step, facts))
    return ready


def _checked(provider: Provider, made: Inputs, expected: agreement.Standard) -> tuple[Step, dict[str, Any]]:
    began = time.perf_counter()
    step = provider.make(made)
    with serving.listening() as served:
        found = agreement.run(step)
    first = time.perf_counter() - began
    off = agreement.difference(found, expected)
    del found
    step.prepare()
    facts = {
        "provider": provider.name,
        "served": (served or [serving.UNREPORTED]) if provider.name.startswith("crossent") else [],
        "first_call_s": first,
        "loss_off": off.loss,
        "gradient_off": off.gradient,
        "wrong": off.against(made.case),
    }
    return step, facts


def _phase(
    phase: str,
    ready: list[Ready],
    copies: Mapping[str, Callable[[], object]],
    task: dict[str, Any],
    report: dict[str, Any],
    say: Say,
) -> None:
    """Time what is ready, in turns with the copies, and add a row for each."""
    case = by_name(task["case"])
    place = places.of(case.device)
    participants = [Timed(provider.label, step.prepare, step.run) for provider, step, _ in ready]
    participants += [Timed(name, _nothing, copy) for name, copy in copies.items()]

    def after_round(done: int, planned: int) -> None:
        say("round", phase=phase, done=done, planned=planned)

    for each in participants * WARM_UPS:  # on warm memory this is what makes it warm
        each.prepare()
        each.run()
    before = load.Usage.now()
    times = timing.in_turns(
        participants, seconds=task["seconds"], rounds=task["rounds"], after_round=after_round,
        clock=place.seconds,
    )  # fmt: skip
    report.setdefault("others_cpu", {})[phase] = load.share_of_others(before, load.Usage.now())
    taken = {name: times[name].summary() for name in copies}
    best = min(taken, key=lambda name: taken[name]["median_ms"])
    report.setdefault("copies", {})[phase] = {**taken, "best": best}
    for provider, step, facts in ready:
        buffer = WARM if phase == WARM else providers.buffer_of(provider, case)
        row = {**facts, "buffer": buffer, **times[provider.label].summary(), "copy_ms": taken[best]["median_ms"]}
        if case.device != CPU:  # the device's allocator knows its peak; on the CPU it takes a process of its own
            step.prepare()
            row["extra_bytes"] = place.extra_bytes(step.run)
        report["rows"].append({**row, "served": _served(provider, step, facts["served"])})


def _plans(made: Inputs, task: dict[str, Any], report: dict[str, Any], say: Say) -> dict[str, Any]:
    """Times of a linear head's plan and of its alternatives, in turns."""
    participants: list[Timed] = []
    for name, step in providers.plans(made).items():
        try:
            for _ in range(WARM_UPS):
                step.prepare()
                step.run()
        except torch.OutOfMemoryError as error:
            report["failed"][f"plan {name}"] = str(error).splitlines()[0][:300]
            continue
        finally:
            step.prepare()
        participants.append(Timed(name, step.prepare, step.run))

    def after_round(done: int, planned: int) -> None:
        say("round", phase="plans", done=done, planned=planned)

    times = timing.in_turns(
        participants, seconds=task["seconds"], rounds=task["rounds"], after_round=after_round,
        clock=places.of(made.case.device).seconds,
    )  # fmt: skip
    return {name: taken.summary() for name, taken in times.items()}


def _served(provider: Provider, step: Step, before: list[str]) -> list[str]:
    """Who served the checked call and a call after the timed ones (a listener would slow the timed ones)."""
    if not provider.name.startswith("crossent"):
        return []
    with serving.listening() as after:
        step.prepare()
        step.run()
        step.prepare()
    return before + [name for name in after if name not in before]


def _nothing() -> None: ...


def remember(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """Peak extra memory of one provider's call."""
    case, provider = by_name(task["case"]), providers.by_label(task["provider"])
    torch.set_num_threads(task["threads"])
    reason = provider.why_not(case)
    if reason is not None:
        return {"left_out": reason}
    say("step", text=f"memory of {provider.label}")
    # Few rows load the kernels; what is compiled for one shape must see that shape.
    step = provider.make(inputs.make(case if provider.compiles else inputs.warm_case(case)))
    step.prepare()
    step.run()
    step.prepare()
    if not provider.compiles:
        step = provider.make(inputs.make(case))
    step.prepare()
    return {
        "extra_bytes": places.of(case.device).extra_bytes(step.run),
        "gradient_bytes": case.logits_bytes,
        "buffer": providers.buffer_of(provider, case),
    }


TASKS: dict[str, Callable[[dict[str, Any], Say], dict[str, Any]]] = {"time": measure, "memory": remember}


def say(event: str, **facts: Any) -> None:
    """One line for the process that waits."""
    print(json.dumps({"event": event, **facts}), flush=True)


if __name__ == "__main__":
    say("result", result=TASKS[sys.argv[1]](json.load(sys.stdin), say))
