#!/usr/bin/env bash
# Installs a wheel into a fresh environment, without a compiler in sight, and uses it; then builds an operator against it.
# Not part of `make test`: a torch takes 5 GB. Usage: tests/wheel/run.sh <wheel> [<folder to keep>]
set -euo pipefail
wheel=$(realpath "${1:?usage: run.sh <wheel> [<folder>]}")
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${2:-$(mktemp -d)}
bin=$folder/venv/bin
mkdir -p "$folder" && cd "$folder"

python3 -m venv venv
"$bin/python" -m pip install --disable-pip-version-check --quiet "$wheel"
mkdir -p empty
PATH=$folder/empty "$bin/python" "$root/tests/wheel/use.py"
"$bin/upwell" doctor
"$bin/upwell" list | sed -n 1,5p

"$bin/python" -m pip install --disable-pip-version-check --quiet matplotlib scikit-image scipy halide==21.0.0 cmake==3.31.10
"$bin/python" "$root/examples/disparity.py" --methods bilinear resfu --steps 20 --out demo | tail -8
"$bin/python" "$root/tests/wheel/own_operator.py"

cp "$root/tests/wheel/CMakeLists.txt" "$root/tests/wheel/own.cpp" "$root/tests/wheel/main.cpp" .
"$bin/cmake" -S . -B build -D CMAKE_PREFIX_PATH="$("$bin/python" -c 'import upwell; print(upwell.cmake_prefix_path)')"
"$bin/cmake" --build build
build/main
echo "All tests passed"
