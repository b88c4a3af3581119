"""An encoder-decoder of the T5 kind: decoder inputs are the labels shifted right, padding becomes -100."""
import torch
import torch.nn as nn

PAD, START = 0, 0


def shift_right(labels):
    shifted = labels.new_zeros(labels.shape)
    shifted[:, 1:] = labels[:, :-1].clone()
    shifted[:, 0] = START
    return shifted.masked_fill(shifted == -100, PAD)


class Seq2Seq(nn.Module):
    def __init__(self, vocab=64, dim=32):
        super().__init__()
        self.shared = nn.Embedding(vocab, dim)
        nn.init.normal_(self.shared.weight, std=0.05)
        self.encoder, self.decoder = nn.GRU(dim, dim, batch_first=True), nn.GRU(dim, dim, batch_first=True)
        self.lm_head = nn.Linear(dim, vocab, bias=False)

    def forward(self, input_ids, labels):
        _, state = self.encoder(self.shared(input_ids))
        out, _ = self.decoder(self.shared(shift_right(labels)), state)
        lm_logits = self.lm_head(out)
        loss = nn.CrossEntropyLoss(ignore_index=-100)(lm_logits.view(-1, lm_logits.size(-1)), labels.view(-1))
        return loss, lm_logits


torch.manual_seed(118)
model = Seq2Seq()
opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
for _ in range(3):
    source, target = torch.randint(2, 64, (8, 30)), torch.randint(2, 64, (8, 12))
    target[3:, 8:] = -100
    loss, _ = model(source, target)
    opt.zero_grad()
    loss.backward()
    opt.step()
