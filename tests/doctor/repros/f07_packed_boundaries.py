positions = torch.cat([torch.arange(6), torch.arange(10)]).expand(4, 16)
report = doctor.batch({"input_ids": ids, "labels": ids, "position_ids": positions})  # XEN607
