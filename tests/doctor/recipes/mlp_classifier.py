"""A plain classifier with its optimizer and an evaluation."""
net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
for _ in range(4):
    optimizer.zero_grad()
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
with torch.no_grad():
    accuracy = (net(x).argmax(1) == y).float().mean()
    probabilities = net(x).softmax(1)
