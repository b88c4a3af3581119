logits = torch.zeros(9000, 4000, dtype=torch.float16)
total = F.cross_entropy(logits, torch.arange(9000) % 4000, reduction="sum")  # XEN407
