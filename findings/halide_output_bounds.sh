#!/bin/bash
# halide 21.0.0, generators in C++: bounds set on an output (output.dim(0).set_bounds(0, 64)) before the output is
# assigned its function are dropped, without a word; the kernel takes any size, and its loops keep their tails. Set after
# the assignment, they hold.
# Seen (the loop over 64 elements that are copied): "before" loops over the buffer's own extent, "after" over 0, 64.
# Exits non-zero if that changes. Needs g++.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check halide==21.0.0
halide=$("$folder/bin/python" -c 'import halide; print(halide.__path__[0])')
cat > "$folder/copy.cpp" <<'CPP'
#include "Halide.h"

template<bool bounds_first> struct Copy : Halide::Generator<Copy<bounds_first>> {
    Halide::GeneratorInput<Halide::Buffer<float, 1>> input{"input"};
    Halide::GeneratorOutput<Halide::Buffer<float, 1>> output{"output"};

    void generate() {
        Halide::Var x("x");
        Halide::Func copy("copy");
        copy(x) = input(x);
        if (bounds_first) {
            output.dim(0).set_bounds(0, 64);
        }
        output = copy;
        if (!bounds_first) {
            output.dim(0).set_bounds(0, 64);
        }
    }
    void schedule() {}
};
using Before = Copy<true>;
using After = Copy<false>;
HALIDE_REGISTER_GENERATOR(Before, before)
HALIDE_REGISTER_GENERATOR(After, after)
CPP
g++ -std=c++17 -I"$halide/include" "$folder/copy.cpp" "$halide/lib64/libHalide_GenGen.a" -L"$halide/lib64" -lHalide \
    -Wl,-rpath,"$halide/lib64" -o "$folder/generator"
for name in before after; do
    "$folder/generator" -g $name -f $name -n $name -o "$folder" -e stmt target=x86-64-linux-no_asserts
    echo "$name: $(grep -o 'for (copy.*)' "$folder/$name.stmt")"
done
grep -q 'for (copy.s0.x.rebased, 0, copy.extent.0)' "$folder/before.stmt"
grep -q 'for (copy.s0.x, 0, 64)' "$folder/after.stmt"
