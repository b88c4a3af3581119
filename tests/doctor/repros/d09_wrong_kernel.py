def kernel(logits, target):
    cut = logits[:, :8]  # drops an incomplete block of classes
    return (cut.logsumexp(1) - logits.gather(1, target[:, None]).squeeze(1)).mean()

report = doctor.crosscheck(kernel, model(x), y)  # XEN409
