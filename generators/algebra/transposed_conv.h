// The transposed convolution and its two gradients, without a zero inserted: along an axis, output pixel
// stride * block + phase is a sum over the elements k = phase + padding - stride * (tap + first) of the kernel,
//     output(stride * block + phase) = sum over taps of input(block + first + tap) * kernel(k)
// so that every phase is an ordinary correlation over the blocks, with the same taps; a phase has no element for some
// of them. Channels are those of a group: a of the input, b of the output. High-res maps are given by phases and
// blocks, px, x, py, y, b, g, n, which is how their pixels lie in memory.
#pragma once

#include "Halide.h"

namespace upwell::transposed_conv {

inline const Halide::Var x("x"), y("y");      // pixel, or block of pixels
inline const Halide::Var px("px"), py("py");  // phase
inline const Halide::Var tx("tx"), ty("ty");  // tap
inline const Halide::Var lane("lane"), strip("strip");
inline const Halide::Var a("a"), b("b"), g("g"), n("n");  // channels of a group, group, sample

struct Axis {
    Halide::Func element;  // tap, phase: of the kernel, or -1
    Halide::Expr taps, stride, first;
    // Pixels of the input, blocks of the output, elements of the kernel; undefined where they are the result's.
    Halide::Expr low, blocks, kernel;
};

struct Problem {
    Axis columns, rows;
    Halide::Func weight;  // element's column and row, b, a, g
    Halide::Expr input_channels, output_channels, samples;
    Halide::Type type;
};

// The kernel by phases: tx, ty, px, py, a, b, g; 0 where a phase has no element.
Halide::Func phase_weights(const Problem &problem);

struct Forward {
    // input: x, y, a, g, n; bias: b, g.
    Forward(const Problem &problem, Halide::Func input, Halide::Func bias);

    Problem problem;
    Halide::Func padded;   // x, y, a, g, n: the input, 0 outside
    Halide::Func weights;  // phase_weights
    Halide::RDom taps;     // x, y, a
    Halide::Func sum;      // x, y, px, py, b, g, n
    Halide::Func output;   // px, x, py, y, b, g, n
};

struct DInput {
    DInput(const Problem &problem, Halide::Func d_output);

    Problem problem;
    Halide::Func phases;   // x, y, px, py, b, g, n: d_output, 0 outside
    Halide::Func weights;  // phase_weights
    Halide::RDom taps;     // x, y, b, px, py
    Halide::Func sum;      // x, y, a, g, n
    Halide::Func d_input;  // x, y, a, g, n
};

// Of partial sums: columns of blocks that are summed side by side, and rows of blocks, a strip.
struct SumSizes {
    int lanes, strip_rows;
};

struct DWeight {
    // elements: element, 0 (tap) or 1 (phase).
    DWeight(const Problem &problem, Halide::Func d_output, Halide::Func input, Halide::Func element_columns,
            Halide::Func element_rows, SumSizes sizes);

    Problem problem;
    Halide::Func padded;     // x, y, a, g, n
    Halide::Func phases;     // x, y, px, py, b, g, n
    Halide::RDom blocks;     // x (of lanes columns), y (of a strip)
    Halide::Func lane_sums;  // lane, tx, px, ty, py, strip, b, a, g, n
    Halide::RDom lanes;
    Halide::Func strip_sums;  // tx, px, ty, py, strip, b, a, g, n
    Halide::RDom strips;      // x (strip), y (sample)
    Halide::Func sums;        // tx, px, ty, py, b, a, g
    Halide::Func d_weight;    // element's column and row, b, a, g
};

}  // namespace upwell::transposed_conv
