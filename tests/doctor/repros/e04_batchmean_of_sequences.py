soft = LanguageModel()(ids).detach().softmax(-1)
loss = F.kl_div(lm(ids).log_softmax(-1), soft, reduction="batchmean")  # XEN504
