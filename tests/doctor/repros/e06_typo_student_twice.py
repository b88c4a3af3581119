student_logits, teacher_logits = model(x), teacher(x)
log_p = F.log_softmax(student_logits / 2, dim=1)
q = F.softmax(student_logits / 2, dim=1)
loss = F.kl_div(log_p, q, reduction="batchmean")  # XEN506
