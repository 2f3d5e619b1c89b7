#!/bin/bash
# halide 21.0.0: the source that it writes for OpenCL and for C rounds a float64 constant to float32 and widens it again,
# also with the feature cl_doubles: f(x) = input(x) + f64(0.1) adds 0.10000000149011612. Kernels that go through LLVM
# (processors, CUDA) have the constant whole, so the same float64 pipeline differs by 1.5e-8 of the constant between devices.
# Seen: "compiled 0.1, C and OpenCL 0.10000000149011612".
# Exits non-zero if that changes. Needs no OpenCL: the source is read from the object.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check halide==21.0.0
cat > "$folder/constant.py" <<'PYTHON'
import re
import struct
import sys

import halide as hl

folder = sys.argv[1]
x, lane = hl.Var("x"), hl.Var("lane")
numbers = hl.ImageParam(hl.Float(64), 1, "numbers")


def pipeline():
    f = hl.Func("f")
    f[x] = numbers[x] + hl.f64(0.1)
    return f


numbers.set(hl.Buffer(hl.Float(64), [1], "zero"))
numbers.get().fill(0.0)
compiled = pipeline().realize([1])[0]
numbers.reset()
pipeline().compile_to_c(f"{folder}/f.c", [numbers], "f", hl.Target("x86-64-linux"))
on_gpu = pipeline()
on_gpu.gpu_tile(x, lane, 16)
on_gpu.compile_to_object(f"{folder}/f.o", [numbers], "f", hl.Target("x86-64-linux-opencl-cl_doubles"))
written = set()
for name in ("f.c", "f.o"):
    with open(f"{folder}/{name}", "rb") as file:
        found = re.findall(rb"\(double\) float_from_bits\((\d+) /\* 0\.1 ", file.read())
    assert found, f"{name}: the constant is written in another way"
    written |= {struct.unpack("f", struct.pack("I", int(bits)))[0] for bits in found}
assert written == {0.10000000149011612}, written
assert compiled == 0.1, compiled
print(f"compiled {compiled}, C and OpenCL {written.pop()}")
PYTHON
"$folder/bin/python" "$folder/constant.py" "$folder"
