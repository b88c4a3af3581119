logits = model(x).masked_fill(torch.arange(10) > 7, float("-inf"))
loss = nn.CrossEntropyLoss(label_smoothing=0.1)(logits, y % 8)  # XEN406
