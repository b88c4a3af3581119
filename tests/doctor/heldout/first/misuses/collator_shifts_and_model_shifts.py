"""The collator shifts, and the model's forward (as those of Hugging Face) shifts again."""
import torch
from torch import nn

torch.manual_seed(11)


class CausalLM(nn.Module):
    def __init__(self, vocab=60, d=24):
        super().__init__()
        self.wte = nn.Embedding(vocab, d)
        self.rnn = nn.LSTM(d, d, batch_first=True)
        self.lm_head = nn.Linear(d, vocab, bias=False)

    def forward(self, input_ids, labels=None):
        hidden, _ = self.rnn(self.wte(input_ids))
        logits = self.lm_head(hidden)
        shift_logits = logits[..., :-1, :].contiguous()
        shift_labels = labels[..., 1:].contiguous()
        loss_fct = nn.CrossEntropyLoss()
        loss = loss_fct(shift_logits.view(-1, shift_logits.size(-1)), shift_labels.view(-1))  # XEN602
        return loss, logits


def collate(texts):
    ids = torch.stack(texts)
    return {"input_ids": ids[:, :-1], "labels": ids[:, 1:]}


model = CausalLM()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    loss, _ = model(**collate([torch.randint(0, 60, (21,)) for _ in range(5)]))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
