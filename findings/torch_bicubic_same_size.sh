#!/bin/bash
# torch 2.15.0, F.interpolate of mode bicubic on a CPU by a scale_factor that leaves the size as it is (7 x 1.1, rounded down): the
# forward pass reads pixel p at p/1.1, so the result is another map than x. The backward pass takes equal sizes for a copy
# and hands the gradient through as it is. (Bilinear copies in both passes.)
# Seen: the result differs from x by more than 0.1, the Jacobian by autograd is the identity, gradcheck fails. 2.11.0 does the same.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F


def enlarged(x):
    return F.interpolate(x, scale_factor=1.1, mode="bicubic")


torch.manual_seed(0)
x = torch.randn(1, 1, 7, 7, dtype=torch.float64, requires_grad=True)
apart = (enlarged(x) - x).abs().max().item()
jacobian = torch.autograd.functional.jacobian(enlarged, x).reshape(49, 49)
is_identity = torch.equal(jacobian, torch.eye(49, dtype=torch.float64))
passes = torch.autograd.gradcheck(enlarged, x, raise_exception=False)
print(f"torch {torch.__version__}: result and x differ by {apart:.2f}; the Jacobian is the identity: {is_identity}; gradcheck: {passes}")
assert tuple(enlarged(x).shape) == (1, 1, 7, 7) and apart > 0.1 and is_identity and not passes
PYTHON
