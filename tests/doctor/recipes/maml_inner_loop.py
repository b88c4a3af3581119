"""Gradients of gradients through an inner step."""
w = torch.randn(20, 10, requires_grad=True)
inner = F.cross_entropy(x @ w * 0.1, y)
(g,) = torch.autograd.grad(inner, w, create_graph=True)
outer = F.cross_entropy(x @ (w - 0.1 * g) * 0.1, y)
outer.backward()
