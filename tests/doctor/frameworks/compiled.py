"""A compiled model (opaque to the graph), a compiled step (left alone), reentrant checkpointing (opaque), autocast."""
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(20, 10), torch.nn.Softmax(dim=1))
x, y = torch.randn(64, 20), torch.randint(0, 10, (64,))
backend = "aot_eager"
compiled = torch.compile(net, backend=backend)
F.cross_entropy(compiled(x), y).backward()  # XEN101

inside = torch.compile(lambda x, y: F.cross_entropy(net(x), y), backend=backend)
inside(x, y).backward()

leaf = x.clone().requires_grad_()
F.cross_entropy(checkpoint(net, leaf, use_reentrant=True), y).backward()  # XEN101
F.cross_entropy(checkpoint(net, leaf, use_reentrant=False), y).backward()  # XEN101
with torch.autocast("cpu", dtype=torch.bfloat16):
    loss = F.cross_entropy(net(x), y)  # XEN101
loss.backward()
