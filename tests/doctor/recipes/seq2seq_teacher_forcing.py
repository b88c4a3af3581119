"""An encoder reads the text that the decoder has to write: a copying task with teacher forcing."""
decoder = LanguageModel()
memory = lm(ids).mean()
start = torch.ones(4, 1, dtype=torch.long)
logits = decoder(torch.cat([start, ids[:, :-1]], 1)) + memory
loss = F.cross_entropy(logits.flatten(0, 1), ids.flatten())
loss.backward()
