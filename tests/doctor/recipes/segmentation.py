"""(N, C, H, W) logits with (N, H, W) masks and a void label."""
masks[:, 0] = 255
net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1))
loss = F.cross_entropy(net(images), masks, ignore_index=255)
loss.backward()
