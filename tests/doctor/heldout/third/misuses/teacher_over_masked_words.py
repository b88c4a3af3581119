"""Words that are not allowed here are -inf in the student's logits; the teacher gives them a probability of 0."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(357)
student, teacher = nn.Linear(16, 30), nn.Linear(16, 30)
optimizer = torch.optim.Adam(student.parameters())
for _ in range(2):
    hidden, is_allowed = torch.randn(10, 16), torch.rand(10, 30) < 0.7
    is_allowed[:, 0] = True
    with torch.no_grad():
        wanted = teacher(hidden).masked_fill(~is_allowed, -torch.inf).softmax(1)
    loss = F.cross_entropy(student(hidden).masked_fill(~is_allowed, -torch.inf), wanted)  # XEN406
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
