"""Activation checkpointing, both kinds."""
from torch.utils.checkpoint import checkpoint

x.requires_grad_()
block = nn.Sequential(nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 10))
F.cross_entropy(checkpoint(block, x, use_reentrant=False), y).backward()
F.cross_entropy(checkpoint(block, x, use_reentrant=True), y).backward()
