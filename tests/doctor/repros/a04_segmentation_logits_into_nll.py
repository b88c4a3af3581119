loss = F.nll_loss(conv(images), masks)  # XEN104
