"""DataCollatorForLanguageModeling with pad_token = eos_token."""
import torch

from crossent import doctor


class Tokenizer:
    eos_token_id = pad_token_id = 2

    def __len__(self):
        return 100


torch.manual_seed(63)
ids = torch.full((3, 20), 2)
for row, n in enumerate((8, 19, 12)):
    ids[row, :n] = torch.randint(3, 100, (n,))
labels = ids.clone()
labels[labels == Tokenizer.pad_token_id] = -100
report = doctor.batch({"input_ids": ids, "labels": labels}, Tokenizer())  # XEN604
