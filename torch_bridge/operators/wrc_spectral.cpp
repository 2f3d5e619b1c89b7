// The spectral solver of weighted reverse convolution.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../fourier.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/wrc_spectral.h"

namespace upwell::bridge {
namespace {

using Pair = std::tuple<Tensor, Tensor>;
using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

void check(const std::string &op, const Tensor &precision, const Tensor &data_weight, const Tensor &data,
           const Tensor &kernel, int64_t scale, std::string_view centre) {
    const Sizes high = check_map(op, "precision", precision), low = check_map(op, "data", data);
    TORCH_CHECK(scale >= 1 && scale < INT32_MAX, op, ": scale should be in 1 .. 2147483646 but is ", scale);
    TORCH_CHECK(centre == "image" || centre == "kernel", op, ": centre should be image or kernel but is ", centre);
    check_alike(op, "data_weight", data_weight, "precision", precision);
    check_alike(op, "data", data, "precision", precision);
    check_alike(op, "kernel", kernel, "precision", precision);
    check_shape(op, "data", data, {high[0], high[1], low[2], low[3]});
    check_shape(op, "data_weight", data_weight, low);
    check_shape(op, "precision", precision, {high[0], high[1], low[2] * scale, low[3] * scale});
    TORCH_CHECK(kernel.dim() == 3, op, ": kernel should have 3 dimensions, C,K,K, but is ", format(kernel.sym_sizes()));
    const c10::SymInt rows = kernel.sym_size(1), columns = kernel.sym_size(2);
    check_shape(op, "kernel", kernel, {high[1], rows, columns});
    TORCH_SYM_CHECK(rows.sym_ge(1).sym_and(columns.sym_ge(1)), op, ": kernel should have at least one element but is ",
                    format(kernel.sym_sizes()));
    TORCH_SYM_CHECK(rows.sym_le(high[2]).sym_and(columns.sym_le(high[3])), op,
                    ": kernel should be no larger than the image, ", format(high), ", but is ",
                    format(kernel.sym_sizes()));
}

void check_wide(const std::string &op, const Tensor &precision) {
    TORCH_CHECK(!is_16_bit(precision), op, ": precision should be float32 or float64 but is ", precision.scalar_type());
}

Sizes spectrum_sizes(const Tensor &map) {
    return {map.sym_size(0), map.sym_size(1), map.sym_size(2), map.sym_size(3) / 2 + 1, 2};
}

WrcCentre centre_of(std::string_view name) {
    return name == "image" ? WrcCentre::Image : WrcCentre::Kernel;
}

Pair wrc_spectral_forward(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight,
                          const Tensor &data, const Tensor &kernel, int64_t scale, std::string_view centre) {
    const std::string op = "wrc_spectral";
    check(op, precision, data_weight, data, kernel, scale, centre);
    check_wide(op, precision);
    check_alike(op, "weighted", weighted, "precision", precision);
    check_shape(op, "weighted", weighted, precision.sym_sizes().vec());
    check_finite(op, "kernel", kernel);
    const Tensor output = at::empty_symint(precision.sym_sizes(), precision.options());
    const Tensor spectrum = at::empty_symint(spectrum_sizes(precision), precision.options());
    if (precision.is_meta() || precision.numel() == 0) {
        return {output, spectrum};
    }
    const Tensor P = precision.contiguous(), Q = weighted.contiguous(), W = data_weight.contiguous(),
                 Y = data.contiguous();
    on_queue(precision, [&](const Queue *queue) {
        upwell::wrc_spectral({view(P), view(W), view(Y), view(kernel), scale}, view(Q), centre_of(centre),
                             torch_fourier(precision), view(spectrum), view(output), queue);
    });
    return {output, spectrum};
}

Gradients wrc_spectral_backward(const Tensor &d_output, const Tensor &spectrum, const Tensor &precision,
                                const Tensor &data_weight, const Tensor &data, const Tensor &kernel, int64_t scale,
                                std::string_view centre) {
    const std::string op = "wrc_spectral_backward";
    check(op, precision, data_weight, data, kernel, scale, centre);
    check_wide(op, precision);
    check_alike(op, "d_output", d_output, "precision", precision);
    check_shape(op, "d_output", d_output, precision.sym_sizes().vec());
    check_alike(op, "spectrum", spectrum, "precision", precision);
    check_shape(op, "spectrum", spectrum, spectrum_sizes(precision));
    const auto like = [&](const Tensor &map) { return at::empty_symint(map.sym_sizes(), map.options()); };
    const Tensor d_precision = like(precision), d_weighted = like(precision);
    const Tensor d_data_weight = like(data), d_data = like(data);
    if (precision.is_meta() || precision.numel() == 0) {
        return {d_precision, d_weighted, d_data_weight, d_data, at::zeros_symint(kernel.sym_sizes(), kernel.options())};
    }
    const Tensor d_kernel = like(kernel), P = precision.contiguous(), W = data_weight.contiguous(),
                 Y = data.contiguous(), g = d_output.contiguous(), F = spectrum.contiguous();
    on_queue(precision, [&](const Queue *queue) {
        const WrcGradients gradients{view(d_precision), view(d_weighted), view(d_data_weight), view(d_data),
                                     view(d_kernel)};
        wrc_spectral_adjoint({view(P), view(W), view(Y), view(kernel), scale}, centre_of(centre),
                             torch_fourier(precision), view(F), view(g), gradients, queue);
    });
    return {d_precision, d_weighted, d_data_weight, d_data, d_kernel};
}

Tensor wrc_spectral(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                    const Tensor &kernel, int64_t scale, std::string_view centre) {
    return std::get<0>(wrc_spectral_forward(precision, weighted, data_weight, data, kernel, scale, centre));
}

class WrcSpectral : public torch::autograd::Function<WrcSpectral> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &precision, const Tensor &weighted,
                          const Tensor &data_weight, const Tensor &data, const Tensor &kernel, int64_t scale,
                          std::string_view centre) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        const auto [output, spectrum] =
            ops::wrc_spectral_forward(precision, weighted, data_weight, data, kernel, scale, centre);
        context->save_for_backward({spectrum, precision, data_weight, data, kernel});
        save_options(context, scale, centre);
        return output;
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(7);
        if (gradients[0].defined()) {
            const variable_list saved = context->get_saved_variables();
            with_options<int64_t, std::string_view>(context, [&](int64_t scale, const std::string &centre) {
                std::tie(result[0], result[1], result[2], result[3], result[4]) = ops::wrc_spectral_backward(
                    gradients[0], saved[0], saved[1], saved[2], saved[3], saved[4], scale, centre);
            });
        }
        return result;
    }
};

Tensor differentiable(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                      const Tensor &kernel, int64_t scale, std::string_view centre) {
    return WrcSpectral::apply(precision, weighted, data_weight, data, kernel, scale, centre);
}

void implement(torch::Library &m) {
    m.impl("wrc_spectral", in_float<wrc_spectral>);
    m.impl("wrc_spectral_forward", wrc_spectral_forward);
    m.impl("wrc_spectral_backward", wrc_spectral_backward);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor wrc_spectral(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                    const Tensor &kernel, int64_t scale, std::string_view centre) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_spectral)>("upwell::wrc_spectral");
    return op.call(precision, weighted, data_weight, data, kernel, scale, centre);
}

std::tuple<Tensor, Tensor> wrc_spectral_forward(const Tensor &precision, const Tensor &weighted,
                                                const Tensor &data_weight, const Tensor &data, const Tensor &kernel,
                                                int64_t scale, std::string_view centre) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_spectral_forward)>("upwell::wrc_spectral_forward");
    return op.call(precision, weighted, data_weight, data, kernel, scale, centre);
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> wrc_spectral_backward(const Tensor &d_output, const Tensor &spectrum,
                                                                         const Tensor &precision,
                                                                         const Tensor &data_weight, const Tensor &data,
                                                                         const Tensor &kernel, int64_t scale,
                                                                         std::string_view centre) {
    static const auto op =
        bridge::find_torch_operator<decltype(wrc_spectral_backward)>("upwell::wrc_spectral_backward");
    return op.call(d_output, spectrum, precision, data_weight, data, kernel, scale, centre);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("wrc_spectral(Tensor precision, Tensor weighted, Tensor data_weight, Tensor data, Tensor kernel, int scale, "
          "str centre=\"image\") -> Tensor");
    m.def("wrc_spectral_forward(Tensor precision, Tensor weighted, Tensor data_weight, Tensor data, Tensor kernel, "
          "int scale, str centre) -> (Tensor, Tensor)");
    m.def("wrc_spectral_backward(Tensor d_output, Tensor spectrum, Tensor precision, Tensor data_weight, Tensor data, "
          "Tensor kernel, int scale, str centre) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
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
    m.impl("wrc_spectral", in_float<differentiable>);  // a spectrum has values that no 16 bits hold
    m.impl("wrc_spectral_forward", torch::autograd::autogradNotImplementedFallback());
    m.impl("wrc_spectral_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
