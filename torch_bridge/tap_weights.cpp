#include "tap_weights.h"

#include <algorithm>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>

namespace upwell::bridge {
namespace {

Tensor divided(const Tensor &integers, const c10::SymInt &divisor) {
    return at::floor_divide(integers, c10::Scalar(divisor));
}

// Of each place and pixel of an axis, whether a tap there counts: what axis_table (grid/axis_table.h) has as the first
// and the last that do, for symbolic sizes too.
Tensor valid_places(const Taps &taps, const c10::SymInt &low, const c10::SymInt &high, int64_t mask_ratio,
                    const at::TensorOptions &integers) {
    const Tensor p = at::arange(c10::Scalar(high), integers);
    const Tensor offsets = at::arange(-taps.radius(), taps.radius() + 1, integers);
    const c10::Scalar cells(low), last_pixel(high - 1);
    Tensor first, last;
    if (taps.border == Border::Inside) {  // only a map of fewer cells than places masks any, and so for every pixel
        first = p * 0 - c10::Scalar(low / 2);
        last = first + c10::Scalar(low - 1);
    } else if (taps.grid == Grid::LowRes && !taps.sampling.between_cells) {
        first = -divided(p * cells, high);
        last = first + c10::Scalar(low - 1);
    } else if (taps.grid == Grid::LowRes) {
        const Tensor twice = (2 * p + 1) * cells;
        first = -divided(twice, 2 * high);
        last = divided(-twice, 2 * high) + cells;
    } else if (mask_ratio > 0) {
        first = -divided(p, mask_ratio);
        last = divided(-p + last_pixel, mask_ratio);
    } else {
        first = -divided(p * cells, high);
        last = divided((-p + last_pixel) * cells, high);
    }
    return offsets.unsqueeze(1).ge(first).logical_and(offsets.unsqueeze(1).le(last));
}

}  // namespace

Tensor tap_weights(const WindowOperator &window, const Tensor &scores, const Sizes &low, const Parameters &parameters) {
    Taps taps = window.choices[parameters.border].taps;
    if (window.has_kernel) {
        taps.kernel = static_cast<int>(parameters.kernel);
    }
    const Sizes high = scores.sym_sizes().vec();
    const Tensor split = scores.reshape_symint({high[0], parameters.groups, taps.count(), high[2], high[3]});
    if (window.normaliser != Normaliser::Softmax) {
        return split;
    }
    if (taps.border != Border::Masked && taps.border != Border::Inside) {
        return at::softmax(split, 2);
    }
    const auto valid = [&](int axis) {
        const at::TensorOptions integers = scores.options().dtype(at::kLong);
        return valid_places(taps, low[axis], high[2 + axis], parameters.mask_ratio, integers);
    };
    const Tensor rows = valid(0).unsqueeze(2), columns = valid(1).unsqueeze(1);
    std::vector<Tensor> of_taps;
    for (int tap = 0; tap < taps.count(); tap++) {
        of_taps.push_back(rows[taps.row(tap)].logical_and(columns[taps.column(tap)]));
    }
    const Tensor counts = at::stack(of_taps);
    return at::softmax(split.masked_fill(counts.logical_not(), -std::numeric_limits<double>::infinity()), 2);
}

Tensor tap_weights(const Operator &op, const Arguments &arguments) {
    const WindowOperator *window = find_window_operator(op.signature.name);
    if (!window) {  // of all taps, by a signature of its own
        return at::softmax(arguments.tensors[1], 1).unsqueeze(1);
    }
    const auto integer = [&](const char *name, int64_t otherwise) {
        const int at = op.option(name);
        return at < 0 || arguments.options[at].isNone() ? otherwise : arguments.options[at].toInt();
    };
    Parameters parameters;
    parameters.kernel = integer("kernel", 1);
    parameters.groups = integer("groups", 1);
    parameters.mask_ratio = integer("mask_ratio", 0);
    if (const int at = op.option("border"); at >= 0) {
        const std::vector<std::string> &choices = op.signature.options[at].choices;
        const auto chosen = std::find(choices.begin(), choices.end(), arguments.options[at].toStringRef());
        parameters.border = static_cast<int>(chosen - choices.begin());
    }
    const Tensor &value = arguments.tensors[op.input(window->value)];
    return tap_weights(*window, arguments.tensors[op.input(window->weights)], {value.sym_size(2), value.sym_size(3)},
                       parameters);
}

}  // namespace upwell::bridge
