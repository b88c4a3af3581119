"""A dataset that gives masks as (N, 1, H, W)."""
import torch
import torch.nn as nn


class Dataset(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 16, 16, generator=generator)
        mask = (torch.rand(1, 16, 16, generator=generator) * 4).long()
        return image, mask


unet = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
criterion = nn.CrossEntropyLoss()
for images, masks in torch.utils.data.DataLoader(Dataset(), batch_size=4):
    outputs = unet(images)
    loss = criterion(outputs, masks)  # XEN202
    loss.backward()
