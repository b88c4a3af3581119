"""Teacher forcing: the target starts with <sos>, padding 0 is ignored."""
import torch
from torch import nn

torch.manual_seed(10)
PAD, SOS, EOS, V = 0, 1, 2, 40
src_emb, tgt_emb = nn.Embedding(V, 16, padding_idx=PAD), nn.Embedding(V, 16, padding_idx=PAD)
tf = nn.Transformer(16, 2, 1, 1, 32, dropout=0.0, batch_first=True)
gen = nn.Linear(16, V)
criterion = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=0.1)
opt = torch.optim.Adam([p for m in (src_emb, tgt_emb, tf, gen) for p in m.parameters()])
for _ in range(3):
    src = torch.randint(3, V, (5, 9))
    tgt = torch.full((5, 12), PAD)
    for row, n in enumerate((4, 10, 6, 8, 3)):
        tgt[row, 0], tgt[row, 1 : n + 1], tgt[row, n + 1] = SOS, torch.randint(3, V, (n,)), EOS
    tgt_in, tgt_out = tgt[:, :-1], tgt[:, 1:]
    mask = nn.Transformer.generate_square_subsequent_mask(11)
    logits = gen(tf(src_emb(src), tgt_emb(tgt_in), tgt_mask=mask))
    loss = criterion(logits.reshape(-1, V), tgt_out.reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
