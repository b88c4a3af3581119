"""Per-sample gradients with torch.func."""
from torch.func import functional_call, grad, vmap

parameters = {name: value.detach() for name, value in model.named_parameters()}

def loss_of(parameters, sample, label):
    return F.cross_entropy(functional_call(model, parameters, sample), label)

gradients = vmap(grad(loss_of), in_dims=(None, 0, 0))(parameters, x, y)
