"""PPO: the KL to the old policy, which equals the new one at the first epoch."""
old = nn.Linear(20, 10)
old.load_state_dict(model.state_dict())
with torch.no_grad():
    before = old(x).log_softmax(1)
now = model(x).log_softmax(1)
kl = F.kl_div(now, before, log_target=True, reduction="batchmean")
ratio = (now - before).gather(1, y.unsqueeze(1)).exp().squeeze(1)
loss = -torch.min(ratio, ratio.clamp(0.8, 1.2)).mean() + 0.1 * kl
loss.backward()
