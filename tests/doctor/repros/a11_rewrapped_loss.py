loss = F.cross_entropy(model(x), y)
new = torch.tensor(loss.detach().numpy(), requires_grad=True)
new.backward()  # XEN111
