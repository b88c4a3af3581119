"""With class weights, the mean divides by the sum of the labels' weights.

What
    ``weight=`` together with ``reduction="mean"``.
Why
    torch divides by ``sum_i w[y_i]`` and not by N, so the loss is a weighted average: scaling all weights changes
    nothing, and ``reduction="none"`` followed by ``.mean()`` gives another number. Probability targets divide by N:
    measured, the same one-hot batch gave 0.1493 with indices and 0.2612 with probabilities.
Bad::

    weight = torch.linspace(0.5, 5.0, 10)
    loss = F.cross_entropy(model(x), y, weight=weight)  # XEN301

Good::

    weight = torch.linspace(0.5, 5.0, 10)
    rows = F.cross_entropy(model(x), y, weight=weight, reduction="none")
    loss = rows.sum() / len(y)  # if dividing by N is what is meant

How it is detected
    Both denominators are computed on the sampled rows; reported as a note where they differ by more than 1 %.
False positives
    It is no fault if the weighted average is what is wanted.
References
    https://github.com/pytorch/pytorch/issues/8062
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the mean with weight divides by sum(weight[target]) = {below:.4g}, not by N = {count}: {weighted:.4f} against "
    "{plain:.4f} on the sampled rows."
)
CONSEQUENCE = "the loss does not grow with the weights, and batches of rare and frequent classes count alike."
FIX = 'leave it if a weighted average is meant; else reduction="none" and .sum() / N.'


def from_values(record: CallRecord) -> Found | None:
    sample = record.sample
    if record.weight is None or record.reduction != "mean" or sample is None or sample.target is None:
        return None
    if sample.target.dim() != 1 or record.index > 0:
        return None
    read = (sample.target != record.ignore_index) & (sample.target >= 0) & (sample.target < record.classes)
    y = sample.target[read]
    weight = record.weight.detach().double().cpu().reshape(-1)[y]
    if y.numel() < 2 or not float(weight.sum()) or float(weight.min()) == float(weight.max()):
        return None
    log_probs = sample.rows[read].double()
    if record.function == "cross_entropy":
        log_probs = log_probs.log_softmax(1)
    losses = -log_probs.gather(1, y.unsqueeze(1)).squeeze(1) * weight
    weighted, plain = float(losses.sum() / weight.sum()), float(losses.mean())
    if not abs(weighted - plain) > 0.01 * abs(plain):
        return None
    return Found({"below": float(weight.sum()), "count": y.numel(), "weighted": weighted, "plain": plain})
