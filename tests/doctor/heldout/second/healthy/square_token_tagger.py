"""As many tags as positions: (B, T, C) with T == C, turned round before the loss as it should be."""
import torch
from torch import nn

torch.manual_seed(128)
TAGS = LENGTH = 14
encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(24, 4, 48, dropout=0.0, batch_first=True), 1)
embed, classifier = nn.Embedding(90, 24), nn.Linear(24, TAGS)
loss_fct = nn.CrossEntropyLoss()
optim = torch.optim.AdamW([*encoder.parameters(), *embed.parameters(), *classifier.parameters()], lr=1e-3)
for _ in range(3):
    tokens, tags = torch.randint(1, 90, (6, LENGTH)), torch.randint(0, TAGS, (6, LENGTH))
    tags[:, 0] = -100  # word pieces without a label
    logits = classifier(encoder(embed(tokens)))
    loss = loss_fct(logits.permute(0, 2, 1), tags)
    optim.zero_grad()
    loss.backward()
    optim.step()
