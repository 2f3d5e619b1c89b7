// The low-res system of the exact solver of weighted reverse convolution, and conjugate gradients on it
// (generators/algebra/wrc_exact.h). Maps are contiguous, checked, and not empty.
#pragma once

#include "../kernel.h"

namespace upwell::bridge::wrc {

struct Tolerance {
    double residual;  // relative to the right side, of every plane; 0: as many steps as there may be
    int64_t steps;
};

// Where the windows of a kernel lie on maps, as the kernels read it.
struct Windows {
    Windows(const Tensor &kernel, const Tensor &low, int64_t scale);

    // precision, ... and the rest of a call's arguments, with those of the windows between.
    std::vector<Given> arguments(std::vector<Given> inputs, const std::vector<Tensor> &outputs) const;
    // Before these the tables of every pixel's cell and place.
    std::vector<Given> pixel_arguments(std::vector<Given> inputs, const std::vector<Tensor> &outputs) const;

    bool overlap() const { return span_x > 1 || span_y > 1; }
    // The gradient of the kernel as given from that of its cells and places.
    Tensor unpack(const Tensor &packed) const;

    Tensor packed;  // C, cells y, places y, cells x, places x
    int64_t scale, kernel_x, kernel_y, span_x, span_y, before_x, before_y, w, h;
    int64_t stored_w;  // of maps that kernels pass each other
};

struct Solution {
    Tensor gain, values;  // N,C,h,stored w
};

// op: what warnings name.
Solution solve(const char *op, const Windows &windows, const Tensor &precision, const Tensor &weighted,
               const Tensor &data_weight, const Tensor &data, const Tolerance &tolerance);

}  // namespace upwell::bridge::wrc
