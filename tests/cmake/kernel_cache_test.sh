#!/usr/bin/env bash
# What cmake/compile_kernel.sh keeps and takes, with a program that counts its runs: kernel_cache_test.sh <source directory>
set -euo pipefail
root=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export UPWELL_KERNEL_CACHE=$folder/cache

program() { # program <what it writes>
    printf '#!/bin/sh\necho run >>"%s/runs"\necho "%s $1" >made.a\n[ "$1" != fail ]\n' "$folder" "$1" >generator
    chmod +x generator
}
compile() { bash "$root/cmake/compile_kernel.sh" 21.0.0 made.a ./generator "$@"; }
runs() { wc -l <runs; }
expect() { # expect <what> <is> <should be>
    if [ "$2" != "$3" ]; then
        echo "$1: should be '$3' but is '$2'" >&2
        exit 1
    fi
}

program first
compile a
rm made.a
compile a
expect "runs of the same kernel" "$(runs)" 1
expect "a kernel from the cache" "$(cat made.a)" "first a"
compile b
expect "runs with other arguments" "$(runs)" 2
program second
compile a
expect "what another program makes" "$(cat made.a)" "second a"
bash "$root/cmake/compile_kernel.sh" 22.0.0 made.a ./generator a
expect "runs with another Halide" "$(runs)" 4

entries=$(ls cache | wc -l)
if compile fail; then
    echo "a program that fails: should fail" >&2
    exit 1
fi
expect "entries after a program that failed" "$(ls cache | wc -l)" "$entries"

UPWELL_KERNEL_CACHE=off compile a
expect "runs without a cache" "$(runs)" 6
touch file
UPWELL_KERNEL_CACHE=$folder/file compile a
expect "runs where the cache cannot be" "$(runs)" 7
echo "All tests passed"
