"""Softmax regression on all data by L-BFGS: the closure is called many times in one step."""
import torch
import torch.nn.functional as F

torch.manual_seed(317)
x, y = torch.randn(300, 15), torch.randint(0, 4, (300,))
x = (x - x.mean(0)) / x.std(0)
weight, bias = torch.zeros(15, 4, requires_grad=True), torch.zeros(4, requires_grad=True)
optimizer = torch.optim.LBFGS([weight, bias], max_iter=20, line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    loss = F.cross_entropy(x @ weight + bias, y) + 1e-3 * weight.square().sum()
    loss.backward()
    return loss


for _ in range(3):
    optimizer.step(closure)
