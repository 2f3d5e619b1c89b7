#!/bin/bash
# halide 21.0.0: an intermediate that is computed at a loop inside of a fused one needs one value of every fused dimension.
# With two dimensions fused it gets memory for just that. With a third one fused to them, and extents that are known at run
# time only, it gets memory for all values of the first one: an allocation on the heap for each iteration, where there
# was an array of 8 on the stack.
# Seen: "allocate g[float32 * 8]" for two dimensions, "allocate g[float32 * 8 * g.y.extent_realized * 1 * 1]" for three.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check halide==21.0.0
cat > "$folder/fuse.py" <<'PYTHON'
import re
import sys

import halide as hl


def allocation(fused: int) -> str:
    """What a producer of 8 columns gets inside of a loop over so many fused dimensions of 4."""
    x, y, z, w, task, block, lane = (hl.Var(name) for name in ("x", "y", "z", "w", "task", "block", "lane"))
    given = hl.ImageParam(hl.Float(32), 4, "given")
    column = hl.RDom([(0, given.dim(0).extent())], "column")
    g, f = hl.Func("g"), hl.Func("f")
    g[x, y, z, w] = 0.0
    g[x, y, z, w] += given[column.x, y, z, w] * hl.f32(x)
    f[x, y, z, w] = g[x, y, z, w]
    f.split(x, block, lane, 8).fuse(y, z, task)
    if fused == 3:
        f.fuse(task, w, task)
    g.compute_at(f, block)
    path = sys.argv[1] + "/lowered"
    f.compile_to_lowered_stmt(path, [given], hl.StmtOutputFormat.Text)
    line = next(line for line in open(path) if "allocate g" in line)
    return re.sub(r"g\$\d+", "g", line.strip())


two, three = allocation(2), allocation(3)
print(f"two dimensions: {two}\nthree dimensions: {three}")
assert two == "allocate g[float32 * 8]"
assert "y.extent_realized" in three
PYTHON
"$folder/bin/python" "$folder/fuse.py" "$folder"
