#!/bin/bash
# torch 2.11.0, torch.compile of a custom operator: what is kept on disk between processes (AOTAutograd's cache) is found
# by the graph of the forward call. The operator's backward function is not part of that, so a process in which it was
# corrected still gets the gradient of the old one, without a word.
# Seen: the backward was g * 2 in a first process and is g * 3 in a second: there eager gives 3.0, compiled code 2.0.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.11.0
cat > "$folder/scale.py" <<'PYTHON'
import sys

import torch

factor = float(sys.argv[1])


@torch.library.custom_op("finding::scale", mutates_args=())
def scale(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


@scale.register_fake
def _(x):
    return torch.empty_like(x)


scale.register_autograd(lambda context, gradient: gradient * factor)


def gradient(function):
    x = torch.ones(4, requires_grad=True)
    function(x).sum().backward()
    return x.grad[0].item()


print(gradient(scale), gradient(torch.compile(lambda x: scale(x))))
PYTHON
export TORCHINDUCTOR_CACHE_DIR=$folder/cache
first=$("$folder/venv/bin/python" "$folder/scale.py" 2)
second=$("$folder/venv/bin/python" "$folder/scale.py" 3)
echo "eager and compiled: $first with the first backward, $second with the second"
[ "$first" = "2.0 2.0" ] && [ "$second" = "3.0 2.0" ]
