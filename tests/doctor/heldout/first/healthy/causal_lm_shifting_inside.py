"""labels = input_ids, padding -100, the model shifts."""
import torch
from torch import nn

torch.manual_seed(12)


class CausalLM(nn.Module):
    def __init__(self, V=60):
        super().__init__()
        self.wte, self.rnn = nn.Embedding(V, 24), nn.LSTM(24, 24, batch_first=True)
        self.lm_head = nn.Linear(24, V)

    def forward(self, input_ids, labels):
        logits = self.lm_head(self.rnn(self.wte(input_ids))[0]).float()
        labels = nn.functional.pad(labels, (0, 1), value=-100)[..., 1:].contiguous()
        return nn.functional.cross_entropy(logits.view(-1, 60), labels.view(-1), ignore_index=-100)


model = CausalLM()
opt = torch.optim.AdamW(model.parameters())
for _ in range(3):
    ids = torch.randint(3, 60, (6, 20))
    labels = ids.clone()
    for row, n in enumerate((20, 12, 15, 9, 18, 20)):
        ids[row, n:], labels[row, n:] = 0, -100
    loss = model(ids, labels)
    opt.zero_grad()
    loss.backward()
    opt.step()
