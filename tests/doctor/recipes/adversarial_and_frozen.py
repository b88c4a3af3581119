"""Gradients with respect to the input, and a frozen backbone."""
x.requires_grad_()
loss = F.cross_entropy(model(x), y)
(gradient,) = torch.autograd.grad(loss, x)
for parameter in teacher.parameters():
    parameter.requires_grad_(False)
loss = F.cross_entropy(model(teacher(x.detach()).repeat(1, 2) + gradient.sign()), y)
loss.backward()
