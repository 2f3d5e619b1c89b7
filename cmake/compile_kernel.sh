#!/usr/bin/env bash
# Runs a generator program, or takes from the cache what it made before of the same arguments:
#
#     compile_kernel.sh <version of Halide> <file that it makes> <program> <arguments>...
#
# The cache is $UPWELL_KERNEL_CACHE (off: none), or upwell/kernels in the user's cache folder. An entry is moved into place
# when it is whole; what nobody took for 60 days goes when a build is configured.
set -euo pipefail
version=$1 file=$2
shift 2
cache=${UPWELL_KERNEL_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/upwell/kernels}
if [ "$cache" = off ] || ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
    exec "$@"
fi
key=$({ sha256sum <"$1"; printf '%s\0' "$version" "${@:2}"; } | sha256sum | cut -c1-40)
entry=$cache/$key
if ! cp "$entry" "$file" 2>/dev/null; then
    "$@"
    part=$(mktemp "$cache/part-XXXXXXXX")
    trap 'rm -f "$part"' EXIT
    # A disk that is full is no reason to stop.
    if cp "$file" "$part" 2>/dev/null; then
        mv "$part" "$entry"
    fi
else
    touch "$entry"
fi
