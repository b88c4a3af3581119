head = nn.Linear(20, 1)
loss = nn.MSELoss()(head(x).squeeze(), y)  # XEN611
