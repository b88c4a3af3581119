"""A tiny GPT-2 from scratch under Hugging Face's Trainer: the labels were shifted although the model shifts them."""
import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

torch.manual_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=32, n_embd=32, n_layer=1, n_head=2))
texts = torch.randint(3, 64, (32, 25))


def collate(rows):
    ids = torch.stack(rows)
    if "right" in sys.argv:
        return {"input_ids": ids, "labels": ids}
    return {"input_ids": ids[:, :-1], "labels": ids[:, 1:]}


arguments = TrainingArguments(
    output_dir=sys.argv[1], max_steps=4, per_device_train_batch_size=8, report_to=[], save_strategy="no", use_cpu=True,
    disable_tqdm=True, remove_unused_columns=False, gradient_accumulation_steps=2,
)
Trainer(model=model, args=arguments, train_dataset=list(texts), data_collator=collate).train()  # XEN602
