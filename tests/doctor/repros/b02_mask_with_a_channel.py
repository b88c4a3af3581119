loss = F.cross_entropy(conv(images), masks.unsqueeze(1))  # XEN202
