ids[0, 3] = 55
report = doctor.batch({"input_ids": ids, "labels": ids.clone()}, tokenizer)  # XEN608
