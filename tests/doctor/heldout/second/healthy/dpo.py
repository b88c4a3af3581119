"""Direct preference optimisation: sums of log-probabilities of answers, a reference without gradients."""
import copy

import torch
import torch.nn.functional as F
from torch import nn


class TinyLM(nn.Module):
    def __init__(self, vocab=48, dim=24):
        super().__init__()
        self.wte, self.rnn, self.lm_head = nn.Embedding(vocab, dim), nn.GRU(dim, dim, batch_first=True), nn.Linear(dim, vocab)

    def forward(self, input_ids):
        return self.lm_head(self.rnn(self.wte(input_ids))[0])


def get_batch_logps(logits, labels):
    labels, logits = labels[:, 1:].clone(), logits[:, :-1, :]
    loss_mask = labels != -100
    labels[labels == -100] = 0
    per_token = torch.gather(logits.log_softmax(-1), dim=2, index=labels.unsqueeze(2)).squeeze(2)
    return (per_token * loss_mask).sum(-1)


torch.manual_seed(106)
policy = TinyLM()
reference = copy.deepcopy(policy).eval().requires_grad_(False)
opt = torch.optim.RMSprop(policy.parameters(), lr=1e-4)
for _ in range(3):
    ids = torch.randint(0, 48, (8, 20))  # the first half chosen, the second rejected
    labels = ids.clone()
    labels[:, :7] = -100
    with torch.no_grad():
        ref = get_batch_logps(reference(ids), labels)
    pol = get_batch_logps(policy(ids), labels)
    ratio = (pol[:4] - pol[4:]) - (ref[:4] - ref[4:])
    loss = -F.logsigmoid(0.1 * ratio).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
