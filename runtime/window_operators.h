// The operators that follow from descriptions: their arguments, shapes and sampling grids.
#pragma once

#include <array>

#include "grid/window.h"
#include "language/window.h"
#include "upwell.h"

namespace upwell {

class WindowKernels;

// What a call of a window may choose.
struct Parameters {
    int64_t kernel = 1;      // places of taps per side, odd
    int64_t groups = 1;      // channel groups with weights of their own
    int64_t mask_ratio = 0;  // high-res pixels between taps where the border mask is found; 0: the true ratio H/h
    int border = 0;          // which of the operator's choices
    // Without weights: of rows and columns, high-res pixels per low-res pixel where positions are a pixel's over this
    // number, computed as torch does for its scale_factor; 0: the true ratio H/h, W/w.
    std::array<double, 2> scale{};
};

// One direction of a window. Of value (low-res), weights and d_output (high-res) it makes what it does not take; an
// operator calls them by names of its own.
struct WindowOperator {
    // What the argument `border` chooses; one without a name where the operator does not have it.
    struct Choice {
        std::string border;
        Taps taps;  // of some kernel
        const WindowKernels *kernels;
    };

    std::string name;
    Direction direction;
    Normaliser normaliser;
    std::string value, weights, d_output, output;  // what the arguments are called; empty: there is none
    std::string bias;                              // what is added to weights that are made; empty: nothing
    bool takes_bias = false;                       // its kernels add one: zeros where nothing is added
    std::vector<std::string> inputs;               // those that are taken, in order
    std::vector<Choice> choices;
    bool has_kernel, has_groups, has_mask_ratio;
    bool is_derivative;                                  // of another operator, not described by anybody
    std::array<const WindowOperator *, 3> directions{};  // of the same window; null: it has none

    bool has_weights() const { return normaliser != Normaliser::Constant; }
    bool has_border() const { return choices.size() > 1; }
    // Of a call with so many places per side; those of an operator without `kernel` are its own.
    int64_t tap_count(int64_t kernel) const { return has_kernel ? kernel * kernel : choices.front().taps.count(); }
    const Sampling &sampling() const { return choices.front().taps.sampling; }
};

// Places of taps per side that there are kernels for, ascending.
const std::vector<int64_t> &sides_of(const WindowOperator &op);

// Adds an operator for each direction of each window that is described, now and later.
void describe_windows();

// By name; null: there is none.
const WindowOperator *find_window_operator(const std::string &name);
// Throws Error with the names there are.
const WindowOperator &window_operator(const std::string &name);
// The operator of this name, or of a chain the one that makes the sum; throws the same.
const WindowOperator &find_result(const std::string &name);
std::vector<const WindowOperator *> window_operators();

// What was wrong with kernels that a library could not add since the last call.
std::vector<std::string> take_refused_rows();

// The tensors of a call by role, and its sizes; what the direction does not use is null.
struct WindowCall {
    const WindowOperator *op;
    Parameters parameters;
    Dtype dtype;
    int64_t N, C, h, w, H, W;
    const Tensor *value, *weights, *d_output, *output;
    const Tensor *bias = nullptr;

    Taps taps() const;

    // Parameters::scale of rows and columns; 0 too where it is a whole number and the true ratio, and where torch
    // leaves it aside.
    std::array<double, 2> scale() const;
};

// Roles and sizes of a call whose tensors fit each other.
WindowCall window_call(const WindowOperator &op, const Parameters &parameters, const std::vector<Tensor> &inputs,
                       const Tensor &output);

// Runs a call with elements and channels, whose tensors fit each other.
void run(const WindowCall &call, const Queue *queue);

}  // namespace upwell
