"""Train a small language model twice from one seed: with a plain head, and with a head whose logits are never made.

    python examples/language_model/train.py

Prints one line per loss (time per step, peak memory of the loss in a process of its own, loss), checks that the curves
are the same (first 20 steps to 1e-6 relative, 160 steps to 1e-3) and writes ``language_model.png``. Two trainings drift
apart as any rounding grows along the way (800 steps: to 5e-3), so only the second goes on; then the head of the
trained model is timed with gradient filtering, which leaves out of the gradient's products what is next to nothing.
One minute on two cores, which gave::

    F.linear + F.cross_entropy              45 ms/step      48.6 MB    6.5375
    crossent.linear_cross_entropy           37 ms/step      23.4 MB    6.5374
    largest relative difference: first 20 steps 2.3e-07, 160 steps 6.4e-04

    filter_eps      time   blocks skipped   error of d hidden, d head
          None     83 ms             0.0%
          auto    106 ms             0.0%   0         0
        0.0001    104 ms            22.2%   3.9e-03   3.7e-03
         0.001     72 ms            81.4%   1.3e-02   2.9e-02
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from prose import Vocabulary, text
from torch import Tensor, nn

import crossent
from crossent import peak_memory
from crossent.linear import filtering


class Model(nn.Module):
    """Two causal transformer blocks; the embedding is the head."""

    def __init__(self, vocabulary: int, width: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        block = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        for table in (self.tokens, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        hidden = self.tokens(tokens) + self.places(torch.arange(length))
        return self.blocks(hidden, mask=mask, is_causal=True)


def plain(hidden: Tensor, head: Tensor, tokens: Tensor) -> Tensor:
    """Logits of every position, then the loss."""
    logits = F.linear(hidden[:, :-1], head)
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def linear(hidden: Tensor, head: Tensor, tokens: Tensor) -> Tensor:
    """The same loss; position t is scored against token t + 1."""
    return crossent.linear_cross_entropy(hidden, head, tokens, shift=1)


LOSSES = {"F.linear + F.cross_entropy": plain, "crossent.linear_cross_entropy": linear}


def batches(settings: argparse.Namespace) -> tuple[int, Tensor]:
    """(size of the vocabulary, (steps, batch, length) tokens)."""
    prose = text()
    vocabulary = Vocabulary(prose, settings.vocabulary)
    stream = torch.tensor(vocabulary.encode(prose))
    torch.manual_seed(1)
    starts = torch.randint(0, len(stream) - settings.length, (settings.steps, settings.batch))
    return len(vocabulary), stream[starts[..., None] + torch.arange(settings.length)]


def run(loss: Any, size: int, tokens: Tensor, settings: argparse.Namespace) -> tuple[list[float], float, Model]:
    """The loss of every step, seconds per step, and the model."""
    torch.manual_seed(0)
    model = Model(size, settings.width, settings.length)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    curve: list[float] = []
    began = time.perf_counter()
    for step, batch in enumerate(tokens):
        value = loss(model(batch), model.tokens.weight, batch)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        curve.append(value.item())
        if step % 100 == 0:
            print(f"  step {step:4}  loss {curve[-1]:.4f}", flush=True)
    return curve, (time.perf_counter() - began) / len(tokens), model


def filter_the_gradient(model: Model, tokens: Tensor) -> None:
    """Loss and backward on the trained model, in turns: time, what ``filter_eps`` skipped, errors of gradients."""
    head = model.tokens.weight.detach().requires_grad_()
    hidden = model(tokens).detach().requires_grad_()
    values = (None, "auto", 1e-5, 1e-4, 1e-3)
    seconds: dict[Any, list[float]] = {eps: [] for eps in values}
    skipped: dict[Any, float] = {}
    gradients: dict[Any, tuple[Tensor, ...]] = {}
    for _ in range(9):
        for eps in values:
            began = time.perf_counter()
            with filtering.counting() as count:
                loss = crossent.linear_cross_entropy(hidden, head, tokens, shift=1, filter_eps=eps)
                gradients[eps] = torch.autograd.grad(loss, (hidden, head))
            seconds[eps].append(time.perf_counter() - began)
            skipped[eps] = count.fraction
    print(
        f"filter_eps on the trained model, {tokens.numel()} positions: time, blocks skipped, error of d hidden, d head"
    )
    for eps in values:
        off = [float((a - b).norm() / b.norm()) for a, b in zip(gradients[eps], gradients[None], strict=True)]
        time_of = statistics.median(seconds[eps]) * 1e3
        print(f"{eps!s:>8} {time_of:7.0f} ms {skipped[eps]:6.1%}  " + " ".join(f"{value:.1e}" for value in off))


def peak_of_the_loss(name: str, size: int, settings: argparse.Namespace) -> float:
    """MB that loss and backward need beside hidden states, head and their gradients."""
    task = json.dumps({"name": name, "size": size, **vars(settings)})
    done = subprocess.run([sys.executable, __file__, "--child", task], capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def child(task: dict[str, Any]) -> None:
    head = torch.randn(task["size"], task["width"]).mul_(0.02).requires_grad_()
    for batch in (1, task["batch"]):  # a small call loads the kernels
        hidden = torch.randn(batch, task["length"], task["width"], requires_grad=True)
        tokens = torch.randint(0, task["size"], hidden.shape[:2])
        head.grad = None
        used = peak_memory.extra_bytes(lambda h=hidden, t=tokens: LOSSES[task["name"]](h, head, t).backward())
    assert used is not None and hidden.grad is not None and head.grad is not None
    print((used - hidden.grad.nbytes - head.grad.nbytes) / 2**20)


def difference(curves: list[list[float]], steps: int) -> float:
    return max(abs(a - b) / b for a, b in zip(curves[1][:steps], curves[0][:steps], strict=True))


def draw(curves: dict[str, list[float]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for (name, curve), style in zip(curves.items(), ("-", "--"), strict=True):
        axes.plot(curve, style, label=name)
    axes.set(xlabel="step", ylabel="loss, nats per token", title="One seed, two losses")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (
        ("steps", 800),
        ("compared", 160),
        ("batch", 8),
        ("length", 64),
        ("width", 128),
        ("vocabulary", 8000),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.child:
        child(json.loads(settings.child))
        return
    size, tokens = batches(settings)
    print(f"{size} tokens; {settings.batch * settings.length} positions per step")
    curves: dict[str, list[float]] = {}
    rows: list[str] = []
    model = None
    for name, loss in LOSSES.items():
        print(name)
        longer = settings.steps if loss is linear else settings.compared
        curves[name], seconds, model = run(loss, size, tokens[:longer], settings)
        used = peak_of_the_loss(name, size, settings)
        rows.append(f"{name:32} {seconds * 1e3:9.0f} ms/step {used:9.1f} MB {curves[name][settings.compared - 1]:9.4f}")
    print("\n".join(rows))
    first, whole = (difference(list(curves.values()), steps) for steps in (20, settings.compared))
    print(f"largest relative difference: first 20 steps {first:.1e}, {settings.compared} steps {whole:.1e}")
    assert model is not None
    filter_the_gradient(model, tokens[:4].flatten(0, 1))
    draw(curves, Path("language_model.png"))
    assert first <= 1e-6 and whole <= 1e-3


if __name__ == "__main__":
    main()
