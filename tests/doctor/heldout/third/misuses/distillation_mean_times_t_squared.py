"""T squared is there, alpha is there, and the mean is over rows and classes."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(365)
T, ALPHA = 4.0, 0.9
student, teacher = nn.Linear(20, 50), nn.Sequential(nn.Linear(20, 60), nn.ReLU(), nn.Linear(60, 50))
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
for _ in range(3):
    x, y = torch.randn(32, 20), torch.randint(0, 50, (32,))
    outputs = student(x)
    with torch.no_grad():
        teacher_outputs = teacher(x)
    kd = F.kl_div(F.log_softmax(outputs / T, 1), F.softmax(teacher_outputs / T, 1), reduction="mean")  # XEN503
    loss = kd * ALPHA * T * T + F.cross_entropy(outputs, y) * (1 - ALPHA)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
