criterion = nn.CrossEntropyLoss(weight=torch.linspace(0.5, 5.0, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for i in range(4):
    loss = criterion(model(x[i : i + 1]), y[i : i + 1]) / 4  # XEN302
    loss.backward()
optimizer.step()
