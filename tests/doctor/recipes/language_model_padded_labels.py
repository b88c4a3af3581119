"""A language model the Hugging Face way: labels padded by one and shifted inside the loss."""
def causal_loss(logits, labels, ignore_index=-100):
    labels = F.pad(labels, (0, 1), value=ignore_index)
    return F.cross_entropy(logits.float().view(-1, logits.size(-1)), labels[..., 1:].contiguous().view(-1), ignore_index=ignore_index)

mask = torch.ones_like(ids)
mask[:, 12:] = 0
labels = ids.masked_fill(mask == 0, -100)
loss = causal_loss(lm(ids), labels)
loss.backward()
report = doctor.batch({"input_ids": ids, "attention_mask": mask, "labels": labels})
