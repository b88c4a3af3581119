report = doctor.batch({"input_ids": ids, "labels": ids, "completion_mask": torch.arange(16).expand(4, 16) > 6})  # XEN605
