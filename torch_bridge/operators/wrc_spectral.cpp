// The spectral solver of weighted reverse convolution. Transforms are torch's, of some planes at a time: their scratch
// stays small, and most of it in cache.
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/fft_irfft2.h>
#include <ATen/ops/fft_rfft2.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/view_as_complex.h>
#include <ATen/ops/view_as_real.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "../table.h"

namespace upwell::bridge {
namespace {

using Pair = std::tuple<Tensor, Tensor>;
using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

// The same for any number of threads: what a transform rounds may depend on how many there are.
constexpr int64_t cpu_chunk_pixels = int64_t(1) << 20, gpu_chunk_pixels = int64_t(1) << 24;

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

// What a kernel's taps, `centre` the one at the origin, add to the first `count` frequencies of an image side.
Tensor waves(int64_t taps, int64_t centre, int64_t side, int64_t count, const Tensor &like) {
    std::vector<double> values;
    values.reserve(2 * taps * count);
    for (int64_t tap = 0; tap < taps; tap++) {
        for (int64_t frequency = 0; frequency < count; frequency++) {
            const double turns = static_cast<double>(frequency * (tap - centre) % side) / static_cast<double>(side);
            values.push_back(std::cos(2 * M_PI * turns));
            values.push_back(-std::sin(2 * M_PI * turns));
        }
    }
    return table(values, like).view({taps, count, 2});
}

// Where a column of a half spectrum finds its low-res one: in 0 .. w / 2, as it is or as the negative frequency.
Tensor low_columns(int64_t half, int64_t w, const Tensor &like) {
    std::vector<int> column, turned;
    for (int64_t x = 0; x < half; x++) {
        turned.push_back(x % w > w / 2);
        column.push_back(static_cast<int>(turned.back() ? w - x % w : x % w));
    }
    column.insert(column.end(), turned.begin(), turned.end());
    return table(column, like).view({2, half});
}

// One call: sizes, and the arguments that all planes share.
struct Call {
    Call(const Tensor &precision, const Tensor &data, const Tensor &kernel, int64_t scale, std::string_view centre)
        : scale(scale), h(data.size(2)), w(data.size(3)), H(h * scale), W(w * scale), half(W / 2 + 1),
          planes(data.size(0) * data.size(1)), like(precision) {
        const int64_t rows = kernel.size(1), columns = kernel.size(2);
        const bool of_image = centre == "image";
        column_waves = waves(columns, (of_image ? W : columns) / 2, W, half, like);
        row_waves = waves(rows, (of_image ? H : rows) / 2, H, H, like).view({rows, scale, h, 2});
        low = low_columns(half, w, like);
        kernels = kernel.expand({data.size(0), -1, -1, -1}).reshape({planes, rows, columns}).contiguous();
    }

    // In blocks of h rows.
    Tensor high_map(const Tensor &map) const { return map.contiguous().view({planes, scale, h, W}); }
    Tensor low_map(const Tensor &map) const { return map.contiguous().view({planes, h, w}); }

    // A half spectrum's numbers, of some planes.
    Tensor high_spectrum(const Tensor &spectrum) const {
        return spectrum.as_strided({spectrum.numel() / (2 * H * half), scale, h, half, 2},
                                   {2 * H * half, 2 * h * half, 2 * half, 2, 1});
    }
    Tensor low_spectrum(const Tensor &spectrum) const {
        const int64_t columns = w / 2 + 1;
        return spectrum.as_strided({spectrum.numel() / (2 * h * columns), h, columns, 2},
                                   {2 * h * columns, 2 * columns, 2, 1});
    }

    // f(first plane, planes) for some planes at a time.
    template<class F> void in_chunks(const F &f) const {
        const int64_t pixels = like.is_cuda() ? gpu_chunk_pixels : cpu_chunk_pixels;
        const int64_t chunk = std::max<int64_t>(pixels / (H * W), 1);
        for (int64_t first = 0; first < planes; first += chunk) {
            f(first, std::min(chunk, planes - first));
        }
    }

    const int64_t scale, h, w, H, W, half, planes;
    const Tensor &like;
    Tensor column_waves, row_waves, low, kernels;
};

// The half spectra of maps [planes, rows, columns], as pairs of numbers.
Tensor transform(const Tensor &maps, std::string_view norm) {
    return at::view_as_real(at::fft_rfft2(maps, at::OptionalIntArrayRef(), {-2, -1}, norm)).contiguous();
}

Tensor transform_back(const Tensor &spectra, int64_t rows, int64_t columns, std::string_view norm) {
    const Tensor pairs = spectra.view({spectra.size(0), rows, columns / 2 + 1, 2});
    return at::fft_irfft2(at::view_as_complex(pairs), at::IntArrayRef({rows, columns}), {-2, -1}, norm);
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
    const Call call(precision, data, kernel, scale, centre);
    const Tensor P = call.high_map(precision), Q = call.high_map(weighted).view({call.planes, call.H, call.W});
    const Tensor weights = call.low_map(data_weight), samples = call.low_map(data);
    const Tensor saved = call.high_spectrum(spectrum), result = output.view({call.planes, call.H, call.W});
    call.in_chunks([&](int64_t first, int64_t planes) {
        const auto some = [&](const Tensor &maps) { return maps.narrow(0, first, planes); };
        some(saved).copy_(call.high_spectrum(transform(some(Q), "backward")));
        const Tensor solved = at::empty_like(some(saved));
        run_kernel_on("wrc_spectrum", precision,
                      {some(saved), call.low_spectrum(transform(some(samples), "backward")), some(P), some(weights),
                       some(call.kernels), call.column_waves, call.row_waves, call.low, solved});
        some(result).copy_(transform_back(solved, call.H, call.W, "backward"));
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
    const Call call(precision, data, kernel, scale, centre);
    const Tensor P = call.high_map(precision), gradient = call.high_map(d_output).view({call.planes, call.H, call.W});
    const Tensor weights = call.low_map(data_weight), samples = call.low_map(data);
    const Tensor saved = call.high_spectrum(spectrum.contiguous()), d_kernels = at::empty_like(call.kernels);
    const Tensor d_P = call.high_map(d_precision), d_Q = d_weighted.view({call.planes, call.H, call.W});
    const Tensor d_weights = call.low_map(d_data_weight), d_samples = call.low_map(d_data);
    call.in_chunks([&](int64_t first, int64_t planes) {
        const auto some = [&](const Tensor &maps) { return maps.narrow(0, first, planes); };
        const Tensor of_samples = call.low_spectrum(transform(some(samples), "backward"));
        const Tensor d_spectrum = at::empty_like(some(saved)), d_low = at::empty_like(of_samples);
        {
            const Tensor G = call.high_spectrum(transform(some(gradient), "forward"));
            run_kernel_on("wrc_spectrum_adjoint", precision,
                          {some(saved), of_samples, some(P), some(weights), some(call.kernels), call.column_waves,
                           call.row_waves, call.low, G, d_spectrum, d_low, some(d_P), some(d_weights),
                           some(d_kernels)});
        }
        some(d_Q).copy_(transform_back(d_spectrum, call.H, call.W, "forward"));
        some(d_samples).copy_(transform_back(d_low, call.h, call.w, "forward"));
    });
    return {d_precision, d_weighted, d_data_weight, d_data,
            d_kernels.view({data.size(0), kernel.size(0), kernel.size(1), kernel.size(2)}).sum(0)};
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
