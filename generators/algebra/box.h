// Means over boxes, one axis at a time, and their transpose.
//     mean(i) = sum of f over the places of [i - radius, i + radius] inside the image / how many are inside
// Nothing is ever subtracted: no rounding drifts along an axis, and a nan or an infinity reaches the boxes that hold it
// and no others. As a scan, in a time independent of the radius: places come in blocks as long as the box, the first of
// which begins `radius` before the image, and the box of place t of block b is that block from t on and the next one up
// to its place t (van Herk). As a gather, every place reads its box.
#pragma once

#include "Halide.h"
#include "algebra/form.h"

namespace upwell {

// Where the boxes of an axis begin and end. Its functions of a place are found once a call.
struct BoxAxis {
    BoxAxis(const std::string &name, Halide::Expr radius, Halide::Expr extent, Halide::Type type,
            Form form = Form::Scan);

    std::vector<Halide::Func> tables() const { return {phase, number, inverse_count}; }

    // Where place i finds its box.
    Halide::Expr place(Halide::Expr i) const;
    Halide::Expr block(Halide::Expr i) const;

    Form form;
    Halide::Expr extent, radius, length;  // of the image, of a box
    Halide::Func phase, number;           // of a place in its block, and of the block
    Halide::Func inverse_count;           // 1 / places of the box that are inside
};

// The stages of one axis, by name. Values may be tuples. A scan's have, behind the place in a block, the block.
struct Box {
    Halide::Var block;
    Halide::Func prefix;  // sum of a block before a place
    Halide::Func suffix;  // sum of a block from a place on; 0 at its end
    Halide::Func blocks;  // the result, block by block
    Halide::Func sum;     // a gather's, instead of the three
    Halide::Func scaled;  // of a transpose: what is summed, each place over its count
    Halide::Func result;
};

// f(..., i, ...) -> its means along a dimension (0: x, 1: y).
Box box_mean(const std::string &name, Halide::Func f, int dimension, const BoxAxis &axis);

// <box_mean(v), g> = <v, box_mean_transpose(g)>.
Box box_mean_transpose(const std::string &name, Halide::Func g, int dimension, const BoxAxis &axis);

}  // namespace upwell
