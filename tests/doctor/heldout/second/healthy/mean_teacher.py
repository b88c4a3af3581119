"""Mean teacher: a copy averaged over time, consistency between softmaxes, labels for a part of the batch."""
import copy

import torch
import torch.nn.functional as F
from torch import nn

NO_LABEL = -1


def softmax_mse_loss(input_logits, target_logits):
    assert input_logits.size() == target_logits.size()
    return F.mse_loss(F.softmax(input_logits, dim=1), F.softmax(target_logits, dim=1), reduction="sum") / len(
        input_logits
    )


def update_ema_variables(model, ema_model, alpha, global_step):
    alpha = min(1 - 1 / (global_step + 1), alpha)
    for ema_param, param in zip(ema_model.parameters(), model.parameters()):
        ema_param.data.mul_(alpha).add_(param.data, alpha=1 - alpha)


torch.manual_seed(103)
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 6))
ema_model = copy.deepcopy(model)
for p in ema_model.parameters():
    p.detach_()
class_criterion = nn.CrossEntropyLoss(reduction="sum", ignore_index=NO_LABEL)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(5):
    x, target = torch.randn(32, 16), torch.randint(0, 6, (32,))
    target[8:] = NO_LABEL
    class_logit, ema_logit = model(x + 0.1 * torch.randn_like(x)), ema_model(x + 0.1 * torch.randn_like(x))
    class_loss = class_criterion(class_logit, target) / 8
    loss = class_loss + 0.5 * softmax_mse_loss(class_logit, ema_logit.detach())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    update_ema_variables(model, ema_model, 0.99, step)
