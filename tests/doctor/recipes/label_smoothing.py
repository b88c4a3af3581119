"""Label smoothing with class indices."""
loss = nn.CrossEntropyLoss(label_smoothing=0.1)(model(x), y)
loss.backward()
