"""Linear cross entropy: time against the bare matrix products, peak memory, errors. ``python benchmarks/linear.py``.

Providers take turns within one process (``crossent.bench.timing``); ratios are to ``products``, the three
matrix products that no implementation can avoid (one without gradients). Peak memory is that of a fresh
process per provider, without inputs and returned gradients. ``processor`` is the ratio of processor time,
which a busy machine distorts less than the clock.

    python benchmarks/linear.py --shape 2048x768x32000 --dtype float32 --rounds 7
    python benchmarks/linear.py --plans            every chunk size beside the plan's choice
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

import crossent
from crossent import LinearPlan
from crossent.bench import peak

MODELS = {  # (hidden size, vocabulary) of real heads
    "gpt2": (768, 50257), "llama3-1b": (2048, 128256), "llama3-8b": (4096, 128256), "gemma-2b": (2304, 256000),
    "qwen-0.6b": (1024, 151936),
}  # fmt: skip
Call = Callable[[], object]


class Problem:
    """The tensors of one shape, and every provider as a call."""

    def __init__(self, N: int, H: int, V: int, dtype: str, ignored: float = 0.0) -> None:
        torch.manual_seed(0)
        kind = getattr(torch, dtype)
        self.input = torch.randn(N, H).to(kind).requires_grad_()
        self.head = torch.randn(V, H).mul_(0.02).to(kind).requires_grad_()
        self.target = torch.randint(0, V, (N,))
        if ignored:
            self.target[torch.rand(N) < ignored] = -100

    def products(self) -> Call:
        input, head = self.input.detach(), self.head.detach()
        logits = torch.empty(input.shape[0], head.shape[0], dtype=input.dtype)
        d_input, d_head = torch.empty_like(input), torch.empty_like(head)

        def run() -> None:
            torch.mm(input, head.t(), out=logits)
            torch.mm(logits, head, out=d_input)
            torch.mm(logits.t(), input, out=d_head)

        return run

    def one_product(self) -> Call:
        input, head = self.input.detach(), self.head.detach()
        logits = torch.empty(input.shape[0], head.shape[0], dtype=input.dtype)
        return lambda: torch.mm(input, head.t(), out=logits)

    def both(self, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Call:
        def run() -> torch.Tensor:
            self.input.grad = self.head.grad = None
            value = loss(self.input, self.head)
            value.backward()
            return value

        return run

    def plain(self, *, wide: bool = True) -> Call:
        return self.both(
            lambda input, head: F.cross_entropy(
                F.linear(input, head).float() if wide else F.linear(input, head), self.target
            )
        )

    def torchs_chunked(self) -> Call:
        options = torch.nn.LinearCrossEntropyOptions()
        return self.both(lambda input, head: F.linear_cross_entropy(input, head, self.target, options=options))

    def ours(self, **how: Any) -> Call:
        plan = LinearPlan(**how)
        return self.both(lambda input, head: crossent.linear_cross_entropy(input, head, self.target, options=plan))

    def frozen_head(self) -> Call:
        return self.both(lambda input, head: crossent.linear_cross_entropy(input, head.detach(), self.target))

    def evaluation(self) -> Call:
        def run() -> torch.Tensor:
            with torch.no_grad():
                return crossent.linear_cross_entropy(self.input, self.head, self.target)

        return run

    def ignored(self) -> Call:
        other = Problem(*self.input.shape, self.head.shape[0], str(self.input.dtype)[6:], ignored=0.8)
        return other.ours()

    def per_position(self) -> Call:
        return self.both(lambda i, h: crossent.linear_cross_entropy(i, h, self.target, reduction="none").sum())

    def providers(self) -> dict[str, Callable[[], Call]]:
        low = self.input.dtype
        known: dict[str, Callable[[], Call]] = {
            "products": self.products, "one product": self.one_product, "F.linear + F.cross_entropy": self.plain,
        }  # fmt: skip
        if low != torch.float32:
            known["F.linear + F.cross_entropy, 16-bit loss"] = lambda: self.plain(wide=False)
        if hasattr(F, "linear_cross_entropy"):
            known["torch chunked"] = self.torchs_chunked
        known["crossent"] = self.ours
        if low != torch.float32:
            known["crossent, 16-bit sums"] = lambda: self.ours(accumulate=low)
        return known | {
            "crossent, 80% ignored": self.ignored, "crossent, frozen head": self.frozen_head,
            "crossent, no gradient": self.evaluation, "crossent, per position": self.per_position,
        }  # fmt: skip

    def plans(self) -> dict[str, Callable[[], Call]]:
        rows = [r for r in (64, 128, 256, 512, 1024, 2048) if r <= self.input.shape[0]]
        named = {f"rows={r}": (lambda r=r: self.ours(rows=r)) for r in rows}
        return {"products": self.products, "the plan's choice": self.ours} | named | {
            "recompute": lambda: self.ours(gradients="recompute"), "slabs of 4096": lambda: self.ours(classes=4096),
        }  # fmt: skip


def in_turns(calls: dict[str, Call], rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """(seconds, processor seconds) by name: every provider once per round."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in calls}
    for call in calls.values():
        call()
    names = list(calls)
    for done in range(rounds):
        for name in names[done % len(names) :] + names[: done % len(names)]:
            began, used = time.perf_counter(), time.process_time()
            calls[name]()
            times[name][0].append(time.perf_counter() - began)
            times[name][1].append(time.process_time() - used)
    return times


def errors(problem: Problem, call: Call) -> str:
    """Relative Frobenius error of loss, d input, d head against float64, on at most 256 rows."""
    wide = [tensor.detach().double().requires_grad_() for tensor in (problem.input, problem.head)]
    exact = F.cross_entropy(F.linear(*wide), problem.target)
    exact.backward()
    value = call()
    pairs = [(value, exact), (problem.input.grad, wide[0].grad), (problem.head.grad, wide[1].grad)]
    return " ".join(f"{float((a.detach().double() - b.detach()).norm() / b.detach().norm()):.1e}" for a, b in pairs)


def memory(arguments: argparse.Namespace, shape: str, name: str) -> float:
    """Peak MB beside inputs and returned gradients, in a process of its own."""
    task = json.dumps({"shape": shape, "dtype": arguments.dtype, "name": name, "threads": arguments.threads})
    done = subprocess.run([sys.executable, __file__, "--child", task], capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def child(task: dict[str, Any]) -> None:
    torch.set_num_threads(task["threads"])
    N, H, V = map(int, task["shape"].split("x"))
    small = Problem(64, H, V, task["dtype"])
    problem = Problem(N, H, V, task["dtype"])
    small.providers()[task["name"]]()()
    small.input.grad = small.head.grad = None
    call = problem.providers()[task["name"]]()
    used = peak.extra_bytes(call) or 0
    print((used - sum(t.grad.nbytes for t in (problem.input, problem.head) if t.grad is not None)) / 2**20)


def report(arguments: argparse.Namespace, shape: str) -> None:
    N, H, V = map(int, shape.split("x"))
    problem = Problem(N, H, V, arguments.dtype)
    makers = problem.plans() if arguments.plans else problem.providers()
    if arguments.only:
        makers = {name: make for name, make in makers.items() if name in ("products", *arguments.only)}
    times = in_turns({name: make() for name, make in makers.items()}, arguments.rounds)
    exact = Problem(256, H, min(V, 8192), arguments.dtype)
    print(f"\n{shape} {arguments.dtype}, {arguments.threads} threads, medians of {arguments.rounds} rounds")
    print(f"{'':40} {'ms':>8} {'ratio':>6} {'processor':>9} {'MB':>7}  error of loss, d input, d head")
    base = [statistics.median(column) for column in times["products"]]
    for name, columns in times.items():
        wall, used = (statistics.median(column) for column in columns)
        peaks = (
            ""
            if arguments.plans or "product" in name or arguments.no_memory
            else f"{memory(arguments, shape, name):.0f}"
        )
        off = errors(exact, exact.providers()[name]()) if name in EXACT else ""
        print(f"{name:40} {wall * 1e3:8.0f} {wall / base[0]:6.2f} {used / base[1]:9.2f} {peaks:>7}  {off}", flush=True)


EXACT = ("F.linear + F.cross_entropy", "F.linear + F.cross_entropy, 16-bit loss", "torch chunked", "crossent",
         "crossent, 16-bit sums")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", help="NxHxV; may be repeated")
    parser.add_argument("--model", choices=MODELS, help="the head of a model, with --rows rows")
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plans", action="store_true")
    parser.add_argument("--only", action="append", help="only this provider beside the products; may be repeated")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
        return
    torch.set_num_threads(arguments.threads)
    shapes = arguments.shape or ["2048x768x32000"]
    if arguments.model:
        shapes = ["x".join(map(str, (arguments.rows, *MODELS[arguments.model])))]
    for shape in shapes:
        report(arguments, shape)


if __name__ == "__main__":
    main()
