"""Self-distillation without labels: centred and sharpened targets, the cross entropy written out."""
import torch
import torch.nn.functional as F
from torch import nn


class DINOLoss(nn.Module):
    def __init__(self, out_dim, teacher_temp=0.04, student_temp=0.1, center_momentum=0.9):
        super().__init__()
        self.teacher_temp, self.student_temp, self.center_momentum = teacher_temp, student_temp, center_momentum
        self.register_buffer("center", torch.zeros(1, out_dim))

    def forward(self, student_output, teacher_output):
        student_out = (student_output / self.student_temp).chunk(2)
        teacher_out = F.softmax((teacher_output - self.center) / self.teacher_temp, dim=-1).detach().chunk(2)
        total, n_terms = 0, 0
        for iq, q in enumerate(teacher_out):
            for v in range(len(student_out)):
                if v == iq:
                    continue
                loss = torch.sum(-q * F.log_softmax(student_out[v], dim=-1), dim=-1)
                total = total + loss.mean()
                n_terms += 1
        with torch.no_grad():
            self.center.mul_(self.center_momentum).add_(
                teacher_output.mean(0, keepdim=True), alpha=1 - self.center_momentum
            )
        return total / n_terms


torch.manual_seed(104)
student, teacher = nn.Linear(20, 64), nn.Linear(20, 64)
teacher.load_state_dict(student.state_dict())
for p in teacher.parameters():
    p.requires_grad = False
dino, opt = DINOLoss(64), torch.optim.AdamW(student.parameters(), lr=1e-3)
for _ in range(3):
    views = torch.randn(2 * 8, 20)
    loss = dino(student(views), teacher(views))
    opt.zero_grad()
    loss.backward()
    opt.step()
