class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, t):
        ctx.save_for_backward(z, t)
        return F.cross_entropy(z, t)

    @staticmethod
    def backward(ctx, g):
        z, t = ctx.saved_tensors
        return g * (z.softmax(1) - F.one_hot(t, 10)) / (2 * len(t)), None

report = doctor.crosscheck(Halved.apply, model(x), y)  # XEN409
