"""Distillation of a language model by token: KL per token, masked, divided by the count of tokens."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(125)
V, T = 72, 2.0
teacher = nn.Sequential(nn.Embedding(V, 32), nn.Linear(32, V)).eval()
student = nn.Sequential(nn.Embedding(V, 16), nn.Linear(16, V))
optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3)


def distil(student_logits, teacher_logits, mask):
    mask = mask.unsqueeze(-1).expand_as(student_logits)
    s = torch.masked_select(student_logits, mask).view(-1, V)
    t = torch.masked_select(teacher_logits, mask).view(-1, V)
    ce = nn.KLDivLoss(reduction="batchmean")
    return ce(F.log_softmax(s / T, dim=-1), F.softmax(t / T, dim=-1)) * T**2


for _ in range(3):
    ids = torch.randint(1, V, (4, 18))
    attention = torch.arange(18) < torch.tensor([[18], [9], [14], [5]])
    with torch.no_grad():
        t_logits = teacher(ids)
    s_logits = student(ids)
    labels = ids.masked_fill(~attention, -100)
    lm = F.cross_entropy(s_logits[:, :-1].reshape(-1, V), labels[:, 1:].reshape(-1), ignore_index=-100)
    loss = 5.0 * distil(s_logits, t_logits, attention) + 2.0 * lm
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
