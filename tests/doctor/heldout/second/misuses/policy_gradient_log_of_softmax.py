"""REINFORCE with probs = softmax(...), log_prob = torch.log(probs[action])."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(219)
pi = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(pi.parameters(), lr=2e-3)
for episode in range(2):
    loss = torch.zeros(())
    for t in range(10):
        prob = F.softmax(pi(torch.randn(4)), dim=0)
        a = torch.multinomial(prob.detach(), 1).item()
        loss = loss - torch.log(prob[a]) * (0.98**t)
    optimizer.zero_grad()
    loss.backward()  # XEN112
    optimizer.step()
