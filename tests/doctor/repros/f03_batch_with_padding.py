mask = (torch.arange(16) < 9).long().expand(4, 16)
report = doctor.batch({"input_ids": ids, "attention_mask": mask, "labels": ids})  # XEN603
