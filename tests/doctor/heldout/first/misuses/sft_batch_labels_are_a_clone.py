"""labels = input_ids.clone() with padding to a fixed length."""
import torch

from crossent import doctor

torch.manual_seed(13)
pad = 1
ids = torch.full((4, 32), pad)
mask = torch.zeros(4, 32, dtype=torch.long)
for row, n in enumerate((7, 32, 15, 20)):
    ids[row, :n] = torch.randint(2, 90, (n,))
    mask[row, :n] = 1
labels = ids.clone()
report = doctor.batch({"input_ids": ids, "attention_mask": mask, "labels": labels})  # XEN603
