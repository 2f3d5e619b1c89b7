// The guided filter with a guide of three channels (He et al., Guided Image Filtering, TPAMI 2013, section 3.6), and
// its gradients. Samples, boxes and interpolation are those of guided_filter.h; with m the mean over a box of samples
// and u their interpolation to pixels, for the guide I = (I_0, I_1, I_2) and each channel p of the input
//     S = m(I I') - m(I) m(I)' + eps U    a = S^-1 (m(I p) - m(I) m(p))    b = m(p) - a . m(I)
//     output = u(m(a)) . I + u(m(b))
// What the guide alone says (m(I) and S) is found once for all channels of an image. A class holds the stages by name.
#pragma once

#include "algebra/guided_filter.h"

namespace upwell {

// guide: x, y, c (3), n; input: x, y, c, n. The rest is the grey filter's.
struct ColourGuidedFilterProblem : GuidedFilterProblem {
    Halide::Expr channels;        // of the input
    Halide::Expr group_channels;  // those whose gradients of the guide are summed one after the other
};

// What depends on the guide alone. Lanes along x until column_means, then along y.
struct ColourGuide {
    explicit ColourGuide(const ColourGuidedFilterProblem &problem);

    Halide::Expr centred(Halide::Expr column, Halide::Expr row, int channel) const;

    ColourGuidedFilterProblem problem;
    Halide::Func centre;   // c, n
    Halide::Func samples;  // x, y, n: I less its centre
    Halide::Func moments;  // x, y, n: I, then I I' (rows of its upper triangle)
    Box column_means;      // their means along y
    Box means;             // and along x
    Halide::Func solver;   // x, y, n: m(I), then S as a product L D L' of a unit lower triangle and a diagonal
};

// a, b of every channel.
struct ColourGuidedFilterFit {
    explicit ColourGuidedFilterFit(const ColourGuidedFilterProblem &problem);

    ColourGuide guide;
    Halide::Func input_centre;  // c, n
    Halide::Func input_rows;    // x (input), y (samples), c, n: the input, interpolated along y
    Halide::Func samples;       // x, y, c, n: p less its centre
    Halide::Func moments;       // p, I p
    Box column_means, means;
    Halide::Func fit;  // a, b
};

struct ColourGuidedFilter {
    explicit ColourGuidedFilter(const ColourGuidedFilterProblem &problem);

    ColourGuidedFilterFit start;
    Box row_model;            // means of a and b along x
    Halide::Func model_rows;  // the same, for column lanes
    Box model;                // and along y
    Halide::Func widened;     // x (pixels), y (samples): interpolated along x
    Halide::Func output;      // x, y, c, n
};

// From d_output (x, y, c, n) to the gradients of m(p) and m(I p), which the input has nothing to do with.
struct ColourFitGradient {
    ColourFitGradient(const ColourGuide &guide, Halide::Func d_output);

    LinearTranspose d_widened;  // x (pixels), y (samples): gradient of u(m(a)), u(m(b)) along x
    Box d_column_model;         // x (pixels), y (samples): the box along y undone
    LinearTranspose d_row_model;
    Box d_fit;             // gradient of a and b
    Halide::Func d_means;  // of m(p), m(I p)
};

// The gradient of the input: the transpose of a filter that is linear in it.
struct ColourGuidedFilterInputGradient {
    ColourGuidedFilterInputGradient(const ColourGuidedFilterProblem &problem, Halide::Func d_output);

    ColourGuide guide;
    ColourFitGradient back;
    Box d_row_moments;         // the box along x undone
    Halide::Func sample_rows;  // the same, for column lanes
    Box d_moments;             // the box along y undone
    Halide::Func d_samples;    // of p
    LinearTranspose d_key_rows;
    LinearTranspose d_key;
    Halide::Func d_input;  // x, y, c, n
};

// The gradient of the guide, a sum over the channels of the input: over those of a group one after the other, then over
// the groups, so that the order does not depend on threads.
struct ColourGuidedFilterGuideGradient {
    ColourGuidedFilterGuideGradient(const ColourGuidedFilterProblem &problem, Halide::Func d_output);

    ColourGuidedFilterFit start;
    ColourFitGradient back;
    Box d_row_moments;         // of m(I p), the box along x undone
    Box row_model;             // mean of a along x
    Halide::Func sample_rows;  // both, and a channel's gradient of the means of I and I I', for column lanes
    Box d_moments;             // of m(I p), the box along y undone
    Box model;                 // mean of a
    Halide::Func widened;      // x (pixels), y (samples)
    Halide::RDom channel;      // of a group
    // x, y, group, n: the gradients of the means of I and I I', and of I through I p and through the output.
    Halide::Func of_means, of_products, of_output;
    Halide::Func all_of_means, all_of_products, all_of_output;  // x, y, n: sums over the groups
    Box d_guide_rows;                                           // of the means, the box along x undone
    Halide::Func guide_rows;                                    // the same, for column lanes
    Box d_guide_moments;                                        // the box along y undone
    Halide::Func d_samples;                                     // x, y, n: of I
    Halide::Func sample_column, sample_row;                     // of a pixel column and row, or -1
    Halide::Func d_guide;                                       // x, y, c, n

private:
    Halide::Expr through_samples(int channel);
};

}  // namespace upwell
