"""An ensemble trained at once: torch.func.functional_call, vmap over parameters, grad."""
import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

torch.manual_seed(126)
models = [nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)) for _ in range(5)]
params, buffers = stack_module_state(models)
base = copy.deepcopy(models[0]).to("meta")


def compute_loss(p, b, x, y):
    return F.cross_entropy(functional_call(base, (p, b), (x,)), y)


for _ in range(3):
    x, y = torch.randn(5, 32, 8), torch.randint(0, 4, (5, 32))
    grads, losses = vmap(grad_and_value(compute_loss))(params, buffers, x, y)
    params = {k: (v - 0.1 * grads[k]).detach() for k, v in params.items()}
