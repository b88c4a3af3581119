"""Two processes of DistributedDataParallel over gloo, as torchrun starts them; the softmax is wrong."""
import os
import sys

import torch
import torch.distributed as dist
import torch.nn.functional as F

dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=int(os.environ["RANK"]), world_size=2)
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(20, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(4):
    x, y = torch.randn(32, 20), torch.randint(0, 10, (32,))
    loss = F.cross_entropy(model(x).softmax(1), y)  # XEN101
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
weight = model.module.weight.detach().clone()
dist.all_reduce(weight)
assert torch.equal(weight, 2 * model.module.weight.detach())
print(f"rank {os.environ['RANK']} done")
dist.destroy_process_group()
