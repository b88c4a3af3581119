"""A focal loss whose p_t is exp(-w ce): the class weight sits inside the probability."""
import torch
import torch.nn.functional as F

from crossent import doctor

torch.manual_seed(65)
w = torch.tensor([1.0, 4.0, 2.0, 0.5])


def focal(logits, target, gamma=0.0):
    ce = F.cross_entropy(logits, target, weight=w, reduction="none")
    return ((1 - torch.exp(-ce)) ** gamma * ce).mean()


report = doctor.crosscheck(focal, torch.randn(30, 4), torch.randint(0, 4, (30,)), weight=w)  # XEN409
