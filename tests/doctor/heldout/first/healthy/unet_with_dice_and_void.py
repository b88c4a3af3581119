"""Cross entropy on logits with void pixels, and a Dice term on the softmax."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(4)
net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 1))
opt = torch.optim.AdamW(net.parameters())
for _ in range(3):
    image, mask = torch.rand(2, 3, 16, 16), torch.randint(0, 5, (2, 16, 16))
    mask[:, :2] = 255
    logits = net(image)
    ce = F.cross_entropy(logits, mask, ignore_index=255)
    valid = mask != 255
    onehot = F.one_hot(mask.clamp(max=4), 5).permute(0, 3, 1, 2) * valid.unsqueeze(1)
    p = logits.softmax(1) * valid.unsqueeze(1)
    dice = 1 - (2 * (p * onehot).sum((0, 2, 3)) + 1) / ((p + onehot).sum((0, 2, 3)) + 1)
    loss = ce + dice.mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
