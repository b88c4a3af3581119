"""teacher = student where a deepcopy was meant: the distillation term is 0 for ever."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(239)


class Distiller:
    def __init__(self, student, temperature=4.0):
        self.student = student
        self.teacher = student
        self.temperature = temperature

    def loss(self, x, y):
        logits = self.student(x)
        with torch.no_grad():
            soft = F.softmax(self.teacher(x) / self.temperature, dim=-1)
        kd = F.kl_div(F.log_softmax(logits / self.temperature, dim=-1), soft, reduction="batchmean")  # XEN506
        return F.cross_entropy(logits, y) + self.temperature**2 * kd


distiller = Distiller(nn.Linear(14, 6))
opt = torch.optim.SGD(distiller.student.parameters(), lr=0.1)
for _ in range(4):
    loss = distiller.loss(torch.randn(20, 14), torch.randint(0, 6, (20,)))
    opt.zero_grad()
    loss.backward()
    opt.step()
