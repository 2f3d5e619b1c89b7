#include "wrc_system.h"

#include <cmath>
#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "../pad.h"
#include "../table.h"

namespace upwell::bridge::wrc {
namespace {

// As generators/algebra/wrc_windows.h.
int64_t stored(int64_t columns) {
    return (columns + 15) / 16 * 16;
}

// A GPU is only waited for once in so many steps.
constexpr int64_t steps_between_looks = 4;

// Cell and place of every pixel of an axis.
void add_places(std::vector<Given> &arguments, int64_t cells, int64_t scale, int64_t before, const Tensor &like) {
    std::vector<int> cell(cells * scale), place(cells * scale);
    for (int64_t pixel = 0; pixel < cells * scale; pixel++) {
        const int64_t from_first = (pixel + before) % (cells * scale);
        cell[pixel] = static_cast<int>(from_first / scale);
        place[pixel] = static_cast<int>(from_first % scale);
    }
    arguments.emplace_back(table(cell, like));
    arguments.emplace_back(table(place, like));
}

// What is left to a plane whose right side is so small or so large that squares leave the range of its type: the same
// system, its right side divided by this [N,C]. 1 for every other plane; nothing where there is no such plane.
std::optional<Tensor> extreme_size(const Tensor &right_side, const Tensor &squares) {
    const double range = right_side.scalar_type() == at::kDouble ? 1e200 : 1e26;
    const Tensor size = right_side.abs().amax({-2, -1});
    const Tensor extreme = size.isfinite() & (size > 0) & ((squares > 1 / range) & (squares < range)).logical_not();
    return extreme.any().item<bool>() ? std::optional(at::where(extreme, size, at::ones_like(size))) : std::nullopt;
}

// Squares of the relative residual, 0 where there is nothing to solve.
double worst_residual(const Tensor &squares, const Tensor &right) {
    const Tensor relative = at::where(right == 0, at::zeros_like(right), squares / right);
    return std::sqrt(relative.max().item<double>());
}

}  // namespace

Windows::Windows(const Tensor &kernel, const Tensor &low, int64_t scale)
    : scale(scale), kernel_x(kernel.size(2)), kernel_y(kernel.size(1)), span_x((kernel_x + scale - 1) / scale),
      span_y((kernel_y + scale - 1) / scale), before_x((kernel_x - 1) - kernel_x / 2),
      before_y((kernel_y - 1) - kernel_y / 2), w(low.size(3)), h(low.size(2)), stored_w(stored(w)) {
    const Tensor padded =
        pad_with_zeros(at::flip(kernel, {1, 2}), {span_y * scale - kernel_y, span_x * scale - kernel_x});
    packed = padded.view({-1, span_y, scale, span_x, scale});
}

std::vector<Given> Windows::arguments(std::vector<Given> inputs, const std::vector<Tensor> &outputs) const {
    inputs.insert(inputs.end(), {packed, w, h, before_x, before_y});
    inputs.insert(inputs.end(), outputs.begin(), outputs.end());
    return inputs;
}

std::vector<Given> Windows::pixel_arguments(std::vector<Given> inputs, const std::vector<Tensor> &outputs) const {
    add_places(inputs, w, scale, before_x, packed);
    add_places(inputs, h, scale, before_y, packed);
    return arguments(std::move(inputs), outputs);
}

Tensor Windows::unpack(const Tensor &d_packed) const {
    const Tensor padded = d_packed.view({-1, span_y * scale, span_x * scale});
    return at::flip(padded.narrow(1, 0, kernel_y).narrow(2, 0, kernel_x), {1, 2});
}

Solution solve(const char *op, const Windows &windows, const Tensor &precision, const Tensor &weighted,
               const Tensor &data_weight, const Tensor &data, const Tolerance &tolerance) {
    const int64_t N = data.size(0), C = data.size(1);
    const auto options = data.options();
    const Tensor system = at::empty({N, C, 3, windows.h, windows.stored_w}, options);
    const Tensor right = at::empty({N, C}, options);
    run_kernel_on("wrc_exact_start", data,
                  windows.arguments({precision, weighted, data_weight, data}, {system, right}));
    const Tensor gain = system.select(2, 1);
    const Tensor right_side = system.select(2, 0).narrow(-1, 0, windows.w);
    const bool look = tolerance.residual > 0;
    if (!windows.overlap()) {  // the system is the identity
        if (look && !right_side.isfinite().all().item<bool>()) {
            TORCH_WARN(op, ": the residual is not finite");
        }
        return {gain, system.select(2, 0)};
    }

    const std::optional<Tensor> size = look ? extreme_size(right_side, right) : std::nullopt;
    if (size) {
        right_side.div_(size->view({N, C, 1, 1}));
        right.copy_(right_side.to(at::kDouble).square().sum({-2, -1}));
    }
    const Tensor limits = right * (tolerance.residual * tolerance.residual);
    const auto ended = [&](const Tensor &squares) { return !(squares > limits).any().item<bool>(); };
    Tensor squares = right.clone();
    Tensor state = at::stack({at::zeros_like(gain), system.select(2, 0), system.select(2, 0)}, 2);
    const int64_t between = data.is_cuda() ? steps_between_looks : 1;
    int64_t step = 0;
    if (!(look && between == 1 && (right == 0).all().item<bool>())) {
        const Tensor reciprocals =
            at::empty({N, C, windows.h, windows.scale, windows.scale, stored(windows.w + windows.span_x - 1)}, options);
        run_kernel_on("wrc_exact_reciprocals", data, windows.arguments({precision}, {reciprocals}));
        Tensor next = at::empty_like(state), next_squares = at::empty_like(squares);
        bool done = false;
        while (step < tolerance.steps && !done) {
            run_kernel_on("wrc_exact_step", data,
                          windows.arguments({reciprocals, system, state, squares, limits}, {next, next_squares}));
            std::swap(state, next);
            std::swap(squares, next_squares);
            step++;
            done = look && step % between == 0 && ended(squares);
        }
    }
    if (look) {
        const double residual = worst_residual(squares, right);
        if (!std::isfinite(residual)) {
            TORCH_WARN(op, ": the residual is not finite");
        } else if (!ended(squares)) {
            TORCH_WARN(op, ": the relative residual is still ", residual, " after ", step,
                       " iterations; the tolerance is ", tolerance.residual);
        }
    }
    const Tensor values = state.select(2, 0);
    return {gain, size ? values * size->view({N, C, 1, 1}) : values};
}

}  // namespace upwell::bridge::wrc
