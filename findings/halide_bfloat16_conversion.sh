#!/bin/bash
# halide 21.0.0: for a target that names the processors with bfloat16 (avx512_sapphirerapids, avx512_zen4), a cast of
# float32 to bfloat16 does not become their instruction (vcvtneps2bf16): it is made of shifts, additions and masks of
# integers, some five for each vector, and a warning says that naming the feature could help.
# Seen: "conversions 0, shifts of integers N" with N more than 0, and the warning.
# Exits non-zero if that changes. Compiles only: any x86-64 processor will do.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check halide==21.0.0
cat > "$folder/round.py" <<'PYTHON'
import sys

import halide as hl

x = hl.Var("x")
numbers = hl.ImageParam(hl.Float(32), 1, "numbers")
rounded = hl.Func("rounded")
rounded[x] = hl.cast(hl.BFloat(16), numbers[x])
rounded.vectorize(x, 32)
features = "avx-avx2-avx512-avx512_skylake-avx512_cannonlake-avx512_zen4-avx512_sapphirerapids-f16c-fma-sse41"
target = hl.Target(f"x86-64-linux-{features}-no_runtime-no_asserts")
rounded.compile_to_assembly(sys.argv[1], [numbers], "rounded", target)
PYTHON
"$folder/bin/python" "$folder/round.py" "$folder/rounded.s" > "$folder/said" 2>&1
conversions=$(grep -c 'vcvtne.*bf16' "$folder/rounded.s" || true)
shifts=$(grep -c 'vpsrld' "$folder/rounded.s" || true)
echo "conversions $conversions, shifts of integers $shifts"
grep -o 'type operation is emulated' "$folder/said" | head -1
test "$conversions" = 0
test "$shifts" -gt 0
grep -q 'type operation is emulated' "$folder/said"
