// The low-res system of the exact solver of weighted reverse convolution, and conjugate gradients on it
// (generators/algebra/wrc_exact.h).
#pragma once

#include "operators/wrc_problem.h"

namespace upwell {

// Where the windows of a weight lie on maps, as the compiled kernels of the solver take it.
struct WrcWindowTables {
    // host: stays as long as this.
    WrcWindowTables(Host &host, const WrcProblem &problem);

    // Runs a compiled kernel with its own arguments and those of the windows; or also with the cell and place of every
    // pixel.
    void run(const std::string &compiled, std::vector<NamedArgument> arguments) const;
    void run_on_pixels(const std::string &compiled, std::vector<NamedArgument> arguments) const;

    bool overlap() const { return span_x > 1 || span_y > 1; }
    // The gradient of the weight as given, from that of N, C, cells y, places y, cells x, places x.
    void unpack(const Tensor &d_packed, const Tensor &d_weight) const;

    Host &host;
    int64_t scale, taps_x, taps_y, span_x, span_y, before_x, before_y, w, h;
    Tensor turn_x, turn_y;  // element of the weight, its place: 1; 0
    Tensor packed;          // C, cells y, places y, cells x, places x
};

struct WrcTolerance {
    double residual;  // relative to the right side, of every plane; 0: as many steps as there may be
    int64_t steps;
};

struct WrcSolution {
    Tensor gain, values;  // N,C,h,w rounded up
};

// op: what warnings name.
WrcSolution solve(const std::string &op, const WrcWindowTables &windows, const WrcProblem &problem,
                  const Tensor &weighted, const WrcTolerance &tolerance);

}  // namespace upwell
