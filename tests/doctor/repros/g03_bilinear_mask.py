big = F.interpolate(masks.unsqueeze(1).float(), scale_factor=2, mode="bilinear").squeeze(1)
logits = F.interpolate(conv(images), scale_factor=2, mode="bilinear")
loss = F.cross_entropy(logits, big)  # XEN703
