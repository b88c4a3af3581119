"""Part segmentation of point clouds: softmax over the parts, F.nll_loss on flattened points."""
import torch
import torch.nn.functional as F


class PointNetDenseCls(torch.nn.Module):
    def __init__(self, k=4):
        super().__init__()
        self.k = k
        self.conv1, self.conv2 = torch.nn.Conv1d(3, 16, 1), torch.nn.Conv1d(16, k, 1)

    def forward(self, x):
        batchsize, _, n_pts = x.shape
        x = self.conv2(F.relu(self.conv1(x)))
        x = x.transpose(2, 1).contiguous()
        x = F.softmax(x.view(-1, self.k), dim=-1)
        return x.view(batchsize, n_pts, self.k)


torch.manual_seed(207)
classifier = PointNetDenseCls()
optimizer = torch.optim.Adam(classifier.parameters())
for _ in range(2):
    points, target = torch.randn(4, 3, 50), torch.randint(0, 4, (4, 50))
    pred = classifier(points).view(-1, 4)
    loss = F.nll_loss(pred, target.view(-1))  # XEN103
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
