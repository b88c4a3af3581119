steps = 4
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def backward(loss):  # a framework that divides by itself
    (loss / steps).backward()  # XEN308

for _ in range(steps):
    loss = F.cross_entropy(model(x), y) / steps
    backward(loss)
optimizer.step()
