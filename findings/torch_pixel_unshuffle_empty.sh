#!/bin/bash
# torch 2.11.0, pixel_unshuffle of an empty batch on a CPU: the result has the shape of the input, not that of the
# formula (which the meta device gives). It is pixel_shuffle's backward too, so a loss on an empty batch raises there.
# Seen: [0, 25, 8, 8] by 2 gives [0, 25, 8, 8], on the meta device [0, 100, 4, 4]; backward of pixel_shuffle: RuntimeError
# (an invalid gradient).
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check torch==2.11.0
"$folder/bin/python" - <<'PYTHON'
import torch
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

seen = {device: tuple(pixel_unshuffle(torch.empty(0, 25, 8, 8, device=device), 2).shape) for device in ("cpu", "meta")}
print(seen)
assert seen == {"cpu": (0, 25, 8, 8), "meta": (0, 100, 4, 4)}, "the shapes agree now"
x = torch.empty(0, 100, 4, 4, requires_grad=True)
try:
    pixel_shuffle(x, 2).sum().backward()
except RuntimeError as error:
    print("backward:", error)
else:
    raise SystemExit("the backward pass is right now")
PYTHON
