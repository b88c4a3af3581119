"""Hugging Face's Trainer with a tiny random GPT-2 on the prose that ships with Python (docs/third-party.md)."""

from pydoc_data.topics import topics

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

set_seed(0)
text = "\n".join(topics[name] for name in sorted(topics)).encode()[: 64 * 400]
tokens = torch.tensor(list(text)).view(-1, 64)
rows = [{"input_ids": row, "labels": row} for row in tokens]
shape = {"vocab_size": 2048, "n_positions": 64, "n_embd": 64, "n_layer": 2, "n_head": 2}
model = GPT2LMHeadModel(GPT2Config(**shape, resid_pdrop=0, attn_pdrop=0, embd_pdrop=0))
arguments = TrainingArguments(
    output_dir="out",
    max_steps=40,
    per_device_train_batch_size=8,
    logging_steps=5,
    learning_rate=3e-3,
    report_to=[],
    use_cpu=True,
    save_strategy="no",
    disable_tqdm=True,
)
trainer = Trainer(model=model, args=arguments, train_dataset=rows)
trainer.train()
for entry in trainer.state.log_history:
    if "loss" in entry:
        print(entry["step"], repr(entry["loss"]))
