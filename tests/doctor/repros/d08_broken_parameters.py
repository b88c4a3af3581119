with doctor.watch(model, announce=None) as inner:
    with torch.no_grad():
        model.bias[3] = torch.inf
    loss = F.cross_entropy(model(x), y)  # XEN408
report = inner.report
assert "1 of 2 parameters" in report.findings[0].message and "bias" in report.findings[0].message
