// How the numbers of a map lie in memory. 16-bit ones are read as their bits, calculated with in float32, and rounded
// to nearest, ties to even, when stored.
#pragma once

#include "Halide.h"

namespace upwell {

class Storage {
public:
    // type: float16, bfloat16, float32 or float64. has_float16: whether the target converts float16 itself.
    Storage(Halide::Type type, bool has_float16);

    Halide::Type stored() const;      // of buffers: uint16 for 16-bit numbers
    Halide::Type arithmetic() const;  // of everything else

    Halide::Func load(Halide::Func buffer) const;
    Halide::Expr store(Halide::Expr number) const;

private:
    Halide::Expr load(Halide::Expr bits) const;

    Halide::Type type;
    bool has_float16;
};

}  // namespace upwell
