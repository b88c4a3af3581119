"""Instruction tuning: the prompt is masked, the end token is learned."""
ids[:, 13] = 2
labels = ids.clone()
labels[:, :5] = -100
labels[:, 14:] = -100
mask = (torch.arange(16) < 14).long().expand(4, 16)
report = doctor.batch({"input_ids": ids, "labels": labels, "attention_mask": mask, "prompt_lengths": [5, 5, 5, 5]}, tokenizer)
F.cross_entropy(lm(ids)[:, :-1].flatten(0, 1), labels[:, 1:].flatten()).backward()
