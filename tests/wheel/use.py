"""An operator, its gradient and a training step with what a wheel installed."""

import torch

import upwell

x, logits = torch.randn(1, 8, 6, 5), torch.randn(1, 9, 24, 20)
taps = torch.softmax(logits, 1).sum(1, keepdim=True)
assert torch.allclose(upwell.ops.fns(torch.ones_like(x), logits, 3), taps.expand(1, 8, 24, 20), atol=1e-6)

torch.manual_seed(0)
resfu = upwell.nn.ReSFU(dim_y=16, dim_x=8, scale_factor=4)
optimiser = torch.optim.SGD(resfu.parameters(), 0.1)
guide, target = torch.randn(1, 16, 24, 20), torch.randn(1, 8, 24, 20)
losses = []
for _ in range(3):
    optimiser.zero_grad()
    loss = (resfu(guide, x) - target).square().mean()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
assert losses[-1] < losses[0], losses
print("use.py: an operator and three training steps", losses)
