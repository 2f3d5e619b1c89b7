// Means over boxes, one axis at a time, and their transpose.
//     mean(i) = sum of f over the places of [i - radius, i + radius] inside the image / how many are inside
// The time is independent of the radius, and nothing is ever subtracted: places come in blocks as long as the box, and
// a box is the tail of one block and the head of the next (van Herk). So no rounding drifts along an axis, and a nan or
// an infinity reaches the boxes that hold it and no others.
#pragma once

#include "Halide.h"

namespace upwell {

// Where the boxes of an axis begin and end: functions of a place, found once a call.
struct BoxAxis {
    BoxAxis(const std::string &name, Halide::Expr radius, Halide::Expr extent, Halide::Type type);

    std::vector<Halide::Func> tables() const { return {phase, tail, head, inverse_count}; }

    Halide::Expr extent;
    Halide::Func phase;          // of a place in its block
    Halide::Func tail, head;     // where the two sums of a place's box are read
    Halide::Func inverse_count;  // 1 / places of the box that are inside
};

// The stages of one axis, by name. Values may be tuples.
struct Box {
    Halide::Func prefix;  // sum of the block before a place; place extent is behind the last
    Halide::Func suffix;  // sum of the block from a place on; 0 at place extent
    Halide::Func result;
};

// f(..., i, ...) -> its means along a dimension (0: x, 1: y).
Box box_mean(const std::string &name, Halide::Func f, int dimension, const BoxAxis &axis);

// <box_mean(v), g> = <v, box_mean_transpose(g)>.
Box box_mean_transpose(const std::string &name, Halide::Func g, int dimension, const BoxAxis &axis);

}  // namespace upwell
