#!/bin/bash
# halide 21.0.0, propagate_adjoints: strict_float changes how a sum is rounded, and its gradient becomes 0. The result is
# a valid function; nothing but a line on stderr ("Dropping gradients at call to strict_mul") says so.
# Seen (the gradient of the sum of 3 v(x) by each v): 3, 3, 3, 3; with strict_float(3 v(x)): 0, 0, 0, 0.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check halide==21.0.0
"$folder/bin/python" - <<'PYTHON'
import halide as hl


def gradient(rounded):
    x, pixel = hl.Var("x"), hl.RDom([(0, 4)])
    values = hl.Buffer(hl.Float(64), [4], "values")
    values.fill(1)
    tripled, loss = hl.Func("tripled"), hl.Func("loss")
    tripled[x] = rounded(3 * values[x])
    loss[()] = hl.f64(0)
    loss[()] += tripled[pixel.x]
    found = hl.propagate_adjoints(loss)[values].realize([4])
    return [found[i] for i in range(4)]


seen = gradient(lambda value: value), gradient(hl.strict_float)
print("plain:", seen[0], "strict:", seen[1])
assert seen == ([3.0] * 4, [0.0] * 4), "the gradients are others now"
PYTHON
