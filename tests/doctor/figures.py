"""Measures figures that the rules' pages state under Why: ``python tests/doctor/figures.py``.

Ten clouds of points in 20 dimensions, a small network, Adam; for F4 a small recurrent language model. Seeded.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]
CLASSES, ROWS, TRAINED = 10, 2000, 1600


def points() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(CLASSES, 20, generator=generator)
    labels = torch.randint(0, CLASSES, (ROWS,), generator=generator)
    return centres[labels] + 2 * torch.randn(ROWS, 20, generator=generator), labels


X, Y = points()


def trained(loss_fn: Loss, order: Tensor | None = None, steps: int = 200) -> tuple[list[float], Tensor]:
    """The losses, and what is predicted for the points that were not trained on."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses: list[float] = []
    for step in range(steps):
        rows = torch.randint(0, TRAINED, (64,)) if order is None else order[64 * step : 64 * step + 64]
        loss = loss_fn(model(X[rows]), Y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model(X[TRAINED:]).argmax(1)


def accuracy(predicted: Tensor) -> float:
    return float((predicted == Y[TRAINED:]).float().mean())


def nll_of_logits() -> None:
    losses, predicted = trained(F.nll_loss)
    right = accuracy(trained(F.cross_entropy)[1])
    print(f"XEN104: loss after 200 steps {losses[-1]:.0f}, accuracy {accuracy(predicted):.1%} (right: {right:.1%})")


def three_labels() -> None:
    target = sum(F.one_hot((torch.arange(64) + k) % CLASSES, CLASSES) for k in range(3))
    print(f"XEN204: first loss {F.cross_entropy(torch.zeros(64, CLASSES), torch.as_tensor(target).float()):.4f}")


def class_zero_ignored() -> None:
    _, predicted = trained(lambda z, y: F.cross_entropy(z, y, ignore_index=0))
    is_zero, right = Y[TRAINED:] == 0, predicted == Y[TRAINED:]
    print(f"XEN210: right in class 0 {right[is_zero].float().mean():.0%}, others {right[~is_zero].float().mean():.0%}")


def sorted_by_class() -> None:
    rows = [(Y[:TRAINED] == c).nonzero()[:, 0].repeat(20)[: 20 * 64] for c in range(CLASSES)]
    order = torch.cat(rows)
    shuffled = order[torch.randperm(len(order), generator=torch.Generator().manual_seed(0))]
    each = [accuracy(trained(F.cross_entropy, one)[1]) for one in (order, shuffled)]
    print(f"XEN212: 20 batches of each class in turn: accuracy {each[0]:.1%}; the same rows shuffled: {each[1]:.1%}")


def one_nan() -> None:
    model = nn.Linear(20, CLASSES)
    logits = model(X[:32])
    logits = logits + torch.zeros_like(logits).index_put((torch.tensor(3), torch.tensor(4)), torch.tensor(torch.nan))
    F.cross_entropy(logits, Y[:32]).backward()
    bad = sum(int(p.grad.isnan().sum()) for p in model.parameters() if p.grad is not None)
    everything = sum(p.numel() for p in model.parameters())
    print(f"XEN408: one NaN of {logits.numel()} logits: {bad} of {everything} gradients")


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(30, 32), nn.GRU(32, 32, batch_first=True), nn.Linear(32, 30)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.mix(self.embed(ids))[0])


def end_never_a_label() -> None:
    for is_label in (True, False):
        torch.manual_seed(0)
        model = Language()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(300):
            ids = torch.randint(3, 30, (32, 9))
            ids[:, 8] = 2
            labels = ids if is_label else ids.masked_fill(ids == 2, -100)
            loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), labels[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        probability = model(torch.randint(3, 30, (64, 8))).softmax(-1)[:, -1, 2].mean()
        print(f"XEN604: the end is {'a' if is_label else 'no'} label: there its probability is {probability:.2g}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for measure in (nll_of_logits, three_labels, class_zero_ignored, sorted_by_class, one_nan, end_never_a_label):
        measure()
