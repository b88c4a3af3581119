criterion = nn.CrossEntropyLoss(ignore_index=0)
loss = criterion(model(x), y)  # XEN210
