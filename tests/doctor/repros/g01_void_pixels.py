masks[:, :, 0] = 255
loss = nn.CrossEntropyLoss()(conv(images), masks)  # XEN701
