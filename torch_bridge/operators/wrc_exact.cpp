// The exact solver of weighted reverse convolution.
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/wrc_exact.h"

namespace upwell::bridge {
namespace {

using Five = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

// high: the maps of H x W, named; the rest as the operator's.
void check(const std::string &op, const std::vector<std::pair<const char *, Tensor>> &high, const Tensor &data_weight,
           const Tensor &data, const Tensor &kernel, int64_t scale, double tolerance, int64_t max_iterations) {
    const Tensor &precision = high[0].second;
    const char *const first = high[0].first;
    TORCH_CHECK(scale >= 1 && scale <= INT32_MAX, op, ": scale should be in 1 .. 2147483647 but is ", scale);
    TORCH_CHECK(std::isfinite(tolerance) && tolerance >= 0, op, ": tolerance should be at least 0 and finite but is ",
                tolerance);
    TORCH_CHECK(max_iterations >= 1, op, ": max_iterations should be at least 1 but is ", max_iterations);
    check_map(op, first, precision);
    const Sizes low = check_map(op, "data", data);
    check_alike(op, "data", data, first, precision);
    check_sizes(op, "data_weight", check_map(op, "data_weight", data_weight), low);
    check_alike(op, "data_weight", data_weight, first, precision);
    for (const auto &[name, map] : high) {
        check_sizes(op, name, check_map(op, name, map), {low[0], low[1], low[2] * scale, low[3] * scale});
        check_alike(op, name, map, first, precision);
    }
    check_alike(op, "kernel", kernel, first, precision);
    const Sizes size = kernel.sym_sizes().vec();
    TORCH_CHECK(kernel.dim() == 3, op, ": kernel should have 3 dimensions, C,KH,KW, but is ", format(size));
    check_sizes(op, "kernel", size, {low[1], size[1], size[2]});
    for (const int axis : {1, 2}) {
        TORCH_SYM_CHECK(size[axis].sym_ge(1), op, ": kernel should have at least 1 x 1 elements but is ", format(size));
        TORCH_SYM_CHECK(size[axis].sym_le(low[axis + 1] * scale), op, ": kernel should be no larger than the ",
                        low[2] * scale, " x ", low[3] * scale, " pixels of ", first, " but is ", format(size));
    }
}

Tensor wrc_exact(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                 const Tensor &kernel, int64_t scale, double tolerance, int64_t max_iterations) {
    check("wrc_exact", {{"precision", precision}, {"weighted", weighted}}, data_weight, data, kernel, scale, tolerance,
          max_iterations);
    check_finite("wrc_exact", "kernel", kernel);
    const Tensor output = at::empty_symint(precision.sym_sizes(), precision.options());
    if (precision.is_meta() || precision.numel() == 0) {
        return output;
    }
    const Tensor P = precision.contiguous(), Q = weighted.contiguous(), W = data_weight.contiguous(),
                 Y = data.contiguous();
    on_queue(precision, [&](const Queue *queue) {
        upwell::wrc_exact({view(P), view(W), view(Y), view(kernel), scale}, view(Q), {tolerance, max_iterations},
                          view(output), queue);
    });
    return output;
}

Five wrc_exact_backward(const Tensor &d_output, const Tensor &output, const Tensor &precision,
                        const Tensor &data_weight, const Tensor &data, const Tensor &kernel, int64_t scale,
                        double tolerance, int64_t max_iterations) {
    check("wrc_exact_backward", {{"d_output", d_output}, {"output", output}, {"precision", precision}}, data_weight,
          data, kernel, scale, tolerance, max_iterations);
    const auto like = [](const Tensor &tensor) { return at::empty_symint(tensor.sym_sizes(), tensor.options()); };
    const Tensor d_precision = like(precision), d_weighted = like(precision), d_data_weight = like(data),
                 d_data = like(data);
    if (precision.is_meta() || precision.numel() == 0) {
        return {d_precision, d_weighted, d_data_weight, d_data, at::zeros_symint(kernel.sym_sizes(), kernel.options())};
    }
    const Tensor d_kernel = like(kernel), P = precision.contiguous(), W = data_weight.contiguous(),
                 Y = data.contiguous(), g = d_output.contiguous(), X = output.contiguous();
    on_queue(precision, [&](const Queue *queue) {
        const WrcGradients gradients{view(d_precision), view(d_weighted), view(d_data_weight), view(d_data),
                                     view(d_kernel)};
        wrc_exact_adjoint({view(P), view(W), view(Y), view(kernel), scale}, {tolerance, max_iterations}, view(X),
                          view(g), gradients, queue);
    });
    return {d_precision, d_weighted, d_data_weight, d_data, d_kernel};
}

class WrcExact : public torch::autograd::Function<WrcExact> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &precision, const Tensor &weighted,
                          const Tensor &data_weight, const Tensor &data, const Tensor &kernel, int64_t scale,
                          double tolerance, int64_t max_iterations) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        Tensor output =
            ops::wrc_exact(precision, weighted, data_weight, data, kernel, scale, tolerance, max_iterations);
        context->save_for_backward({output, precision, data_weight, data, kernel});
        context->saved_data["scale"] = scale;
        context->saved_data["tolerance"] = tolerance;
        context->saved_data["max_iterations"] = max_iterations;
        return output;
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(8);
        if (gradients[0].defined()) {
            const variable_list saved = context->get_saved_variables();
            std::tie(result[0], result[1], result[2], result[3], result[4]) = ops::wrc_exact_backward(
                gradients[0], saved[0], saved[1], saved[2], saved[3], saved[4], context->saved_data["scale"].toInt(),
                context->saved_data["tolerance"].toDouble(), context->saved_data["max_iterations"].toInt());
        }
        return result;
    }
};

Tensor differentiable(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                      const Tensor &kernel, int64_t scale, double tolerance, int64_t max_iterations) {
    return WrcExact::apply(precision, weighted, data_weight, data, kernel, scale, tolerance, max_iterations);
}

void implement(torch::Library &m) {
    m.impl("wrc_exact", in_float<wrc_exact>);
    m.impl("wrc_exact_backward", in_float<wrc_exact_backward>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor wrc_exact(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                 const Tensor &kernel, int64_t scale, double tolerance, int64_t max_iterations) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_exact)>("upwell::wrc_exact");
    return op.call(precision, weighted, data_weight, data, kernel, scale, tolerance, max_iterations);
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>
wrc_exact_backward(const Tensor &d_output, const Tensor &output, const Tensor &precision, const Tensor &data_weight,
                   const Tensor &data, const Tensor &kernel, int64_t scale, double tolerance, int64_t max_iterations) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_exact_backward)>("upwell::wrc_exact_backward");
    return op.call(d_output, output, precision, data_weight, data, kernel, scale, tolerance, max_iterations);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("wrc_exact(Tensor precision, Tensor weighted, Tensor data_weight, Tensor data, Tensor kernel, int scale, "
          "float tolerance=1e-4, int max_iterations=100) -> Tensor");
    m.def("wrc_exact_backward(Tensor d_output, Tensor output, Tensor precision, Tensor data_weight, Tensor data, "
          "Tensor kernel, int scale, float tolerance, int max_iterations) -> "
          "(Tensor, Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(upwell, CPU, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, CUDA, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, Meta, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, Autograd, m) {
    m.impl("wrc_exact", in_float<differentiable>);  // the output is kept, before it is rounded
    m.impl("wrc_exact_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
