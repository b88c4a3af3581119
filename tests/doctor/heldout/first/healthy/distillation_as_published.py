"""Temperature, its square, batchmean, a teacher without gradients."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(6)
student, teacher, T = nn.Linear(20, 10), nn.Linear(20, 10), 4.0
opt = torch.optim.SGD(student.parameters(), lr=0.1)
for _ in range(3):
    x, y = torch.randn(32, 20), torch.randint(0, 10, (32,))
    with torch.no_grad():
        t = teacher(x)
    s = student(x)
    kd = F.kl_div(F.log_softmax(s / T, dim=1), F.softmax(t / T, dim=1), reduction="batchmean") * T * T
    loss = 0.7 * kd + 0.3 * F.cross_entropy(s, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
