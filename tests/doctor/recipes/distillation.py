"""Knowledge distillation: temperature, T squared, batchmean, the teacher without gradients."""
T = 4.0
with torch.no_grad():
    soft = F.softmax(teacher(x) / T, dim=1)
student = model(x)
kl = F.kl_div(F.log_softmax(student / T, dim=1), soft, reduction="batchmean") * T * T
loss = 0.5 * F.cross_entropy(student, y) + 0.5 * kl
loss.backward()
