batch = {"input_ids": ids[:, :-1], "labels": ids[:, 1:]}
report = doctor.batch(batch)  # XEN602
