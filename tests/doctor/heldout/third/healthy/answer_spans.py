"""Questions on a text: logits over positions; answers outside the window get the index that is ignored, its length."""
import torch
from torch import nn

torch.manual_seed(319)
LENGTH = 40
embed, body, head = nn.Embedding(100, 24), nn.GRU(24, 24, batch_first=True, bidirectional=True), nn.Linear(48, 2)
optimizer = torch.optim.AdamW([*embed.parameters(), *body.parameters(), *head.parameters()], lr=1e-3)
for _ in range(4):
    ids = torch.randint(0, 100, (12, LENGTH))
    start = torch.randint(0, LENGTH + 10, (12,))
    end = start + torch.randint(0, 5, (12,))
    start_logits, end_logits = head(body(embed(ids))[0]).split(1, dim=-1)
    start_logits, end_logits = start_logits.squeeze(-1).contiguous(), end_logits.squeeze(-1).contiguous()
    criterion = nn.CrossEntropyLoss(ignore_index=LENGTH)
    start, end = start.clamp(0, LENGTH), end.clamp(0, LENGTH)
    loss = (criterion(start_logits, start) + criterion(end_logits, end)) / 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
