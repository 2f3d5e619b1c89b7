"""upwell.build() from an installed wheel: kernels, gradients, values of a constant map."""

from pathlib import Path

import torch

import upwell

likeness = upwell.build(Path(__file__).with_name("own.cpp"), kernels=[3], progress=False)
key, query = torch.randn(1, 4, 5, 6, requires_grad=True), torch.randn(1, 4, 10, 12, requires_grad=True)
value = torch.randn(1, 3, 5, 6, requires_grad=True)
out = likeness(torch.ones_like(value), key, query, 3)
assert torch.allclose(out, torch.ones_like(out), atol=1e-6)
assert torch.autograd.gradcheck(
    lambda *maps: likeness(*maps, 3), [each.detach().double().requires_grad_() for each in (value, key, query)]
)
print("own_operator.py: built, and its gradients are right")
