"""Several labels per sample."""
loss = nn.BCEWithLogitsLoss(pos_weight=torch.full((10,), 2.0))(model(x), multi_hot)
loss.backward()
F.binary_cross_entropy(torch.sigmoid(model(x)), multi_hot).backward()
