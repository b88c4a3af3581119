small = F.interpolate(masks[:, None].float(), size=(4, 4), mode="bilinear")[:, 0].long()
loss = F.cross_entropy(conv(images)[..., ::2, ::2], small)  # XEN703
