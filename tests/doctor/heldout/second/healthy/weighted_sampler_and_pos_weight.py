"""Imbalance met by a sampler, and by pos_weight in the binary head; double precision throughout."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

torch.set_default_dtype(torch.float64)
try:
    torch.manual_seed(130)
    X, y = torch.randn(300, 7), (torch.rand(300) < 0.1).long()
    counts = torch.bincount(y, minlength=2)
    sampler = WeightedRandomSampler((1.0 / counts)[y], num_samples=300)
    loader = DataLoader(TensorDataset(X, y), batch_size=60, sampler=sampler)
    net, binary = nn.Linear(7, 2), nn.Linear(7, 1)
    ce, bce = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss(pos_weight=counts[0] / counts[1])
    opt = torch.optim.SGD([*net.parameters(), *binary.parameters()], lr=0.1)
    for xb, yb in loader:
        loss = ce(net(xb), yb) + bce(binary(xb), yb.double().unsqueeze(1))
        opt.zero_grad()
        loss.backward()
        opt.step()
finally:
    torch.set_default_dtype(torch.float32)
