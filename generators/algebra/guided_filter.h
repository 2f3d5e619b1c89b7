// The guided filter (He et al., arXiv 1505.00996), per channel, and its adjoint. Every scale-th pixel of the guide I
// and of the interpolated input p is a sample; with m the mean over a box of samples and u their interpolation to
// pixels,
//     a = (m(Ip) - m(I) m(p)) / (m(II) - m(I)^2 + eps)    b = m(p) - a m(I)    output = u(m(a)) I + u(m(b))
// I and p are taken less a centre of their plane, which changes no a and saves the digits that a large mean would cost.
// Both axes of m and u are separate and commute. A class holds the stages by name, so that a schedule can place them.
#pragma once

#include "algebra/box.h"
#include "algebra/linear.h"

namespace upwell {

// W, H: pixels of the guide; w, h of the input; Ws, Hs: samples.
struct GuidedFilterProblem {
    Halide::Func guide, input;         // x, y, c
    LinearAxis key_columns, key_rows;  // samples read the input
    LinearAxis columns, rows;          // pixels read the samples
    BoxAxis box_columns, box_rows;     // of samples
    Halide::Expr scale, eps;
    Halide::Type type;

    Halide::Expr width() const { return columns.high; }
    Halide::Expr height() const { return rows.high; }
    Halide::Expr sample_columns() const { return columns.low; }
    Halide::Expr sample_rows() const { return rows.low; }
};

// What both directions start from. Lanes along x until column_means, then along y.
struct GuidedFilterFit {
    explicit GuidedFilterFit(const GuidedFilterProblem &problem);

    Halide::Expr centred_guide(Halide::Expr column, Halide::Expr row) const;

    GuidedFilterProblem problem;
    Halide::Func guide_centre, input_centre;    // c
    Halide::Func input_rows;                    // x (input), y (samples): the input, interpolated along y
    Halide::Func guide_samples, input_samples;  // x, y, c: I, p less their centres
    Halide::Func moments;                       // I, p, Ip, II
    Box column_means;                           // their means along y
    Box means;                                  // and along x
    Halide::Func slope;                         // a
    Halide::Func fit;                           // a, b
};

struct GuidedFilter {
    explicit GuidedFilter(const GuidedFilterProblem &problem);

    GuidedFilterFit start;
    Box row_model;         // means of a and b along x
    Halide::Func widened;  // x (pixels), y (samples): interpolated along x; a scan does so before the means along y
    Box model;             // means along y
    Halide::Func output;   // x, y, c
};

// d_output: x, y, c. Nothing else is kept from the forward direction.
struct GuidedFilterBackward {
    GuidedFilterBackward(const GuidedFilterProblem &problem, Halide::Func d_output);

    GuidedFilterFit start;
    LinearTranspose d_widened;  // x (pixels), y (samples): gradient of u(m(a)), u(m(b)) along x
    Box d_column_model;         // x (pixels), y (samples): the box along y undone
    LinearTranspose d_row_model;
    Box d_fit;                  // gradient of a and b
    Halide::Func solved;        // m(I), m(p), the denominator of a, a
    Halide::Func d_covariance;  // of m(Ip) - m(I) m(p)
    Halide::Func d_means;       // of the moments' means, at a sample
    Box d_row_moments;          // the box along x undone
    Box row_model;              // mean of a along x
    Halide::Func sample_rows;   // gradient of the four moments and mean of a, for column lanes
    Box d_moments;              // the box along y undone
    Halide::Func d_samples;     // of I and p
    Box model;                  // mean of a
    Halide::Func widened;       // x (pixels), y (samples)
    Halide::RDom sample;        // of a row
    Halide::Func d_guide_rows;  // a scan's, x (pixels), y (samples): d_samples at every scale-th pixel, else 0
    Halide::Func sample_row;    // of a pixel row, or -1
    LinearTranspose d_key_rows;
    LinearTranspose d_key;
    Halide::Func d_guide, d_input;  // x, y, c

private:
    Halide::Expr through_samples();
};

}  // namespace upwell
