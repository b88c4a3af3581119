"""A typo: the student's logits are the teacher's."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(55)
student, teacher = nn.Linear(20, 10), nn.Linear(20, 10)
x = torch.randn(32, 20)
with torch.no_grad():
    teacher_logits = teacher(x)
student_logits = student(x)
log_p, q = F.log_softmax(student_logits, dim=1), F.softmax(student_logits.detach(), dim=1)
loss = F.kl_div(log_p, q, reduction="batchmean")  # XEN506
loss.backward()
