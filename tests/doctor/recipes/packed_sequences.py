"""Packed documents: labels at boundaries are ignored."""
positions = torch.arange(16).remainder(8).expand(4, 16)
labels = ids.masked_fill(positions == 0, -100)
report = doctor.batch({"input_ids": ids, "labels": labels, "position_ids": positions})
logits = lm(ids)
loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum") / (labels[:, 1:] != -100).sum()
loss.backward()
