#!/bin/bash
# torch 2.11.0, vmap (and with it is_grads_batched) over an operator from torch.library that has no batching rule: torch
# calls it sample by sample, with a warning. Not if the schema takes its tensors as one list, Tensor[]: then there is no
# such fallback, and the same call of the same tensors raises.
# Seen: "apart(Tensor a, Tensor b)" gives the right result; "together(Tensor[] ab)" raises a RuntimeError ("Batching rule
# not implemented for finding::together. We could not generate a fallback.").
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check torch==2.11.0
"$folder/bin/python" - <<'PYTHON'
import torch

library = torch.library.Library("finding", "DEF")
library.define("apart(Tensor a, Tensor b) -> Tensor")
library.define("together(Tensor[] ab) -> Tensor")
library.impl("apart", lambda a, b: a * b, "CPU")
library.impl("together", lambda ab: ab[0] * ab[1], "CPU")
a, b = torch.randn(3, 4), torch.randn(3, 4)
assert torch.equal(torch.ops.finding.together([a, b]), torch.ops.finding.apart(a, b))
assert torch.equal(torch.vmap(torch.ops.finding.apart)(a, b), a * b)
print("apart: right")
try:
    torch.vmap(lambda a, b: torch.ops.finding.together([a, b]))(a, b)
except RuntimeError as error:
    print("together:", error)
else:
    raise SystemExit("a list of tensors has a fallback now")
PYTHON
