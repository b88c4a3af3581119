embed = nn.Embedding(50, 256)
hidden = embed(ids[:, :-1])
logits = F.linear(F.layer_norm(hidden, (256,)), embed.weight)
loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())  # XEN411
