"""CTC beside a frame classifier of (N, C, T) logits."""
frames = nn.Linear(20, 10)(torch.randn(12, 4, 20))
targets = torch.randint(1, 10, (4, 5))
ctc = F.ctc_loss(frames.log_softmax(2), targets, torch.full((4,), 12), torch.full((4,), 5))
per_frame = F.cross_entropy(frames.permute(1, 2, 0), torch.randint(0, 10, (4, 12)))
(ctc + per_frame).backward()
