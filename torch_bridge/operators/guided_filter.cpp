// The guided filter.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "../planes.h"
#include "../table.h"

namespace upwell::bridge {
namespace {

using Pair = std::tuple<Tensor, Tensor>;

// Where pixels read a line of `low` values: the value at or before each, and the way to the next.
struct Reads {
    Tensor lower, fraction;
};

// Pixel start + step i of `high`, i < count, bilinear with align_corners=False.
Reads interpolate(int64_t low, int64_t high, int64_t count, int64_t step, const Tensor &like) {
    std::vector<int> lower(count);
    std::vector<double> fraction(count);
    for (int64_t i = 0; i < count; i++) {
        const int64_t twice = std::max<int64_t>((2 * step * i + 1) * low - high, 0);  // 2 high u(p), from 0 on
        const int64_t base = std::min(twice / (2 * high), low - 1);
        lower[i] = static_cast<int>(base);
        fraction[i] = static_cast<double>(twice - 2 * high * base) / static_cast<double>(2 * high);
    }
    return {table(lower, like), table(fraction, like)};
}

// Pixel p of `high` at p / scale of the samples taken at every scale-th pixel, the last repeated.
Reads between_samples(int64_t samples, int64_t high, int64_t scale, const Tensor &like) {
    std::vector<int> lower(high);
    std::vector<double> fraction(high);
    for (int64_t p = 0; p < high; p++) {
        const int64_t base = std::min(p / scale, samples - 1);
        lower[p] = static_cast<int>(base);
        fraction[p] = base < samples - 1 ? static_cast<double>(p - scale * base) / static_cast<double>(scale) : 0;
    }
    return {table(lower, like), table(fraction, like)};
}

struct Axis {
    Reads key, back;  // samples from the input; pixels from the samples

    Axis(int64_t low, int64_t high, int64_t scale, bool centred, const Tensor &like) {
        const int64_t samples = std::max<int64_t>(high / scale, 1);
        key = interpolate(low, high, samples, scale, like);
        back = centred ? between_samples(samples, high, scale, like) : interpolate(samples, high, high, 1, like);
    }
};

void check(const char *op, const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale) {
    const Sizes high = check_map(op, "guide", guide), low = check_map(op, "input", input);
    check_alike(op, "input", input, "guide", guide);
    check_sizes(op, "input", low, {high[0], high[1], low[2], low[3]});
    TORCH_CHECK(radius >= 0 && radius < INT32_MAX / 4, op, ": radius should be at least 0 but is ", radius);
    TORCH_CHECK(scale >= 1 && scale < INT32_MAX, op, ": scale should be at least 1 but is ", scale);
    TORCH_CHECK(std::isfinite(eps) && eps >= 0, op, ": eps should be at least 0 but is ", eps);
}

Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale,
                     bool centred) {
    check("guided_filter", guide, input, radius, eps, scale);
    const Tensor output = at::empty_symint(guide.sym_sizes(), guide.options());
    if (guide.is_meta() || guide.numel() == 0) {
        return output;
    }
    const Axis x(input.size(3), guide.size(3), scale, centred, guide);
    const Axis y(input.size(2), guide.size(2), scale, centred, guide);
    run_kernel_on("guided_filter", guide,
                  {planes(guide), planes(input), x.key.lower, x.key.fraction, y.key.lower, y.key.fraction, x.back.lower,
                   x.back.fraction, y.back.lower, y.back.fraction, radius / scale, scale, eps, planes(output)});
    return output;
}

Pair guided_filter_backward(const Tensor &d_output, const Tensor &guide, const Tensor &input, int64_t radius,
                            double eps, int64_t scale, bool centred) {
    check("guided_filter_backward", guide, input, radius, eps, scale);
    check_sizes("guided_filter_backward", "d_output", check_map("guided_filter_backward", "d_output", d_output),
                guide.sym_sizes().vec());
    check_alike("guided_filter_backward", "d_output", d_output, "guide", guide);
    const Tensor d_guide = at::empty_symint(guide.sym_sizes(), guide.options());
    const Tensor d_input = at::empty_symint(input.sym_sizes(), input.options());
    if (guide.is_meta() || guide.numel() == 0) {
        return {d_guide, d_input};
    }
    const Axis x(input.size(3), guide.size(3), scale, centred, guide);
    const Axis y(input.size(2), guide.size(2), scale, centred, guide);
    run_kernel_on("guided_filter_adjoint", guide,
                  {planes(guide), planes(input), planes(d_output), x.key.lower, x.key.fraction, y.key.lower,
                   y.key.fraction, x.back.lower, x.back.fraction, y.back.lower, y.back.fraction, radius / scale, scale,
                   eps, planes(d_guide), planes(d_input)});
    return {d_guide, d_input};
}

class GuidedFilter : public torch::autograd::Function<GuidedFilter> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &guide, const Tensor &input, int64_t radius,
                          double eps, int64_t scale, bool centred) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({guide, input});
        context->saved_data["options"] = std::make_tuple(radius, eps, scale, centred);
        return ops::guided_filter(guide, input, radius, eps, scale, centred);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(6);
        if (gradients[0].defined()) {
            const variable_list saved = context->get_saved_variables();
            const auto [radius, eps, scale, centred] =
                context->saved_data["options"].to<std::tuple<int64_t, double, int64_t, bool>>();
            std::tie(result[0], result[1]) =
                ops::guided_filter_backward(gradients[0], saved[0], saved[1], radius, eps, scale, centred);
        }
        return result;
    }
};

Tensor differentiable(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale,
                      bool centred) {
    return GuidedFilter::apply(guide, input, radius, eps, scale, centred);
}

void implement(torch::Library &m) {
    m.impl("guided_filter", in_float<guided_filter>);
    m.impl("guided_filter_backward", in_float<guided_filter_backward>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale,
                     bool centred) {
    static const auto op = bridge::find_torch_operator<decltype(guided_filter)>("upwell::guided_filter");
    return op.call(guide, input, radius, eps, scale, centred);
}

std::tuple<Tensor, Tensor> guided_filter_backward(const Tensor &d_output, const Tensor &guide, const Tensor &input,
                                                  int64_t radius, double eps, int64_t scale, bool centred) {
    static const auto op =
        bridge::find_torch_operator<decltype(guided_filter_backward)>("upwell::guided_filter_backward");
    return op.call(d_output, guide, input, radius, eps, scale, centred);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("guided_filter(Tensor guide, Tensor input, int radius, float eps=1e-3, int scale=1, bool centred=False) -> "
          "Tensor");
    m.def("guided_filter_backward(Tensor d_output, Tensor guide, Tensor input, int radius, float eps, int scale, "
          "bool centred) -> (Tensor, Tensor)");
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
    m.impl("guided_filter", differentiable);
    m.impl("guided_filter_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
