"""Supervised fine-tuning: padding on the left, prompt and padding all have labels."""
import torch

from crossent import doctor

torch.manual_seed(250)
PAD = 0
ids, mask = torch.full((3, 24), PAD), torch.zeros(3, 24, dtype=torch.long)
for row, n in enumerate((24, 13, 18)):
    ids[row, -n:] = torch.randint(3, 70, (n,))
    mask[row, -n:] = 1
batch = {"input_ids": ids, "attention_mask": mask, "labels": ids.clone()}
report = doctor.batch(batch)  # XEN603
