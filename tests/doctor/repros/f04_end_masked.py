ids[:, 10:] = 2
labels = ids.masked_fill(ids == tokenizer.pad_token_id, -100)
report = doctor.batch({"input_ids": ids, "labels": labels}, tokenizer)  # XEN604
