"""Packed documents whose labels cross the boundaries."""
import torch

from crossent import doctor

torch.manual_seed(62)
ids = torch.randint(3, 90, (2, 40))
position_ids = torch.cat([torch.arange(15), torch.arange(25)]).repeat(2, 1)
report = doctor.batch({"input_ids": ids, "labels": ids.clone(), "position_ids": position_ids})  # XEN607
