#!/bin/bash
# kornia 0.9.0, filters.guided_blur: with `subsample` an odd kernel_size k may become an even number of samples
# ((k - 1) // subsample + 1: 7 at subsample 2 makes 4), whose window lies to one side; each of the filter's two means
# then moves the image by half a sample, up and to the left, without a warning.
# Seen (guide flat, so that the filter is two means; a dot at columns 40 and 41, and the centre of what becomes of it):
# subsample 2: 40.5 at kernel_size 5, 38.5 at 7; subsample 4 (which lays the sample of column 40 at 41.5): 41.5 at
# kernel_size 9, 37.5 at 13.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check kornia==0.9.0 torch==2.11.0
"$folder/bin/python" - <<'PYTHON'
import torch
from kornia.filters import guided_blur

dot = torch.zeros(1, 1, 80, 80, dtype=torch.float64)
dot[..., 40:42, 40:42] = 1
flat = torch.zeros_like(dot)


def centre(kernel_size, subsample):
    """Of mass, along the columns."""
    row = guided_blur(flat, dot, kernel_size, 1e-2, subsample=subsample).sum((0, 1, 2))
    return round(((row * torch.arange(80)).sum() / row.sum()).item(), 3)


seen = {call: centre(*call) for call in ((5, 2), (7, 2), (9, 4), (13, 4))}
for (kernel_size, subsample), column in seen.items():
    print(f"kernel_size {kernel_size}, subsample {subsample}: the dot goes to column {column}")
assert seen == {(5, 2): 40.5, (7, 2): 38.5, (9, 4): 41.5, (13, 4): 37.5}, "the dot goes elsewhere now"
PYTHON
