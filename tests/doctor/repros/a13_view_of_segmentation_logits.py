loss = F.cross_entropy(conv(images).view(-1, 5), masks.view(-1))  # XEN113
