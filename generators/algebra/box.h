// Means over boxes, one axis at a time, and their transpose.
//     mean(i) = sum of f over the places of [i - radius, i + radius] inside the image / how many are inside
// Nothing is ever subtracted: no rounding drifts along an axis, and a nan or an infinity reaches the boxes that hold it
// and no others. As a scan, in a time independent of the radius: places come in blocks as long as the box, and a box is
// the tail of one block and the head of the next (van Herk). As a gather, every place reads its box.
#pragma once

#include "Halide.h"
#include "algebra/form.h"

namespace upwell {

// Where the boxes of an axis begin and end: functions of a place, found once a call.
struct BoxAxis {
    BoxAxis(const std::string &name, Halide::Expr radius, Halide::Expr extent, Halide::Type type,
            Form form = Form::Scan);

    std::vector<Halide::Func> tables() const { return {phase, tail, head, inverse_count}; }

    Form form;
    Halide::Expr extent, radius;
    Halide::Func phase;          // of a place in its block
    Halide::Func tail, head;     // where the two sums of a place's box are read
    Halide::Func inverse_count;  // 1 / places of the box that are inside
};

// The stages of one axis, by name. Values may be tuples.
struct Box {
    Halide::Func prefix;  // sum of the block before a place; place extent is behind the last
    Halide::Func suffix;  // sum of the block from a place on; 0 at place extent
    Halide::Func sum;     // a gather's, instead of the two
    Halide::Func scaled;  // of a transpose: what is summed, each place over its count
    Halide::Func result;
};

// f(..., i, ...) -> its means along a dimension (0: x, 1: y).
Box box_mean(const std::string &name, Halide::Func f, int dimension, const BoxAxis &axis);

// <box_mean(v), g> = <v, box_mean_transpose(g)>.
Box box_mean_transpose(const std::string &name, Halide::Func g, int dimension, const BoxAxis &axis);

}  // namespace upwell
