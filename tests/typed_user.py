"""A program as users write it, for ``make types``: what the type checker sees of the public names. It is not run."""

import torch
from typing_extensions import assert_type

import crossent
from crossent import CrossEntropyLoss, LinearPlan, doctor, explain
from crossent.doctor import Report
from crossent.explain.numbers import Explanation

logits, target = torch.randn(2, 3), torch.tensor([0, 1])

assert_type(crossent.cross_entropy(logits, target, class_dim=-1, if_all_ignored="zero"), torch.Tensor)
assert_type(crossent.nll_loss(crossent.log_softmax(logits, dim=1), target), torch.Tensor)
assert_type(crossent.cross_entropy_with_stats(logits, target).entropy, torch.Tensor)
assert_type(crossent.linear_cross_entropy(logits, torch.randn(5, 3), target), torch.Tensor)
assert_type(crossent.linear_log_prob(logits, torch.randn(5, 3), target), torch.Tensor)
assert_type(LinearPlan(rows=256).rows, int | None)

criterion: torch.nn.CrossEntropyLoss = CrossEntropyLoss(label_smoothing=0.1, z_loss=1e-4)

# A module that can be called: checkers know no such thing, so crossent says it in another way.
assert_type(doctor(logits, target), Report)
assert_type(crossent.doctor(logits, target).codes, list[str])
assert_type(doctor.accumulation([2.9, 1.4], [12, 480]), Report)
with doctor.watch() as watching:
    assert_type(watching.report, Report)
assert_type(explain(logits, target), Explanation)

with crossent.patch():
    pass
crossent.unpatch()

print(crossent.no_such_name)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType]
