#!/bin/bash
# torch 2.11.0, torch.func.jvp of torch.linalg.solve inside another transform: the tangent is found with the LU factors that solve
# keeps, and these are constants to the transform around it. The outer derivative is wrong, without a word.
# Seen: x = solve(A, b), A = [[2]], b = [3]: the tangent along db = 1 is 1/A, its derivative by A -1/A^2 = -0.25; grad of the jvp gives
# 0. inv(A) @ b gives -0.25.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check torch==2.11.0
"$folder/bin/python" - <<'PYTHON'
import torch
from torch.func import grad, jvp

A, b, db = torch.tensor([[2.0]]), torch.tensor([3.0]), torch.tensor([1.0])


def of(solve):
    return grad(lambda A: jvp(lambda b: solve(A, b), (b,), (db,))[1].sum())(A).item()


seen = {"solve": of(torch.linalg.solve), "inv": of(lambda A, b: torch.linalg.inv(A) @ b)}
print(seen)
assert seen == {"solve": 0.0, "inv": -0.25}, "they agree now"
PYTHON
