// The guided filter.
#include <string>
#include <string_view>

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/guided_filter.h"

namespace upwell::bridge {
namespace {

using Pair = std::tuple<Tensor, Tensor>;
using Options = GuidedFilterOptions;

void check(const char *op, const Tensor &guide, const Tensor &input, const Options &options) {
    const auto &[radius, eps, scale, centred, border] = options;
    const Sizes high = check_map(op, "guide", guide), low = check_map(op, "input", input);
    check_alike(op, "input", input, "guide", guide);
    check_sizes(op, "input", low, {high[0], high[1], low[2], low[3]});
    TORCH_CHECK(radius >= 0 && radius < INT32_MAX / 4, op, ": radius should be in 0 .. ", INT32_MAX / 4 - 1, " but is ",
                radius);
    TORCH_CHECK(scale >= 1 && scale < INT32_MAX, op, ": scale should be in 1 .. ", INT32_MAX - 1, " but is ", scale);
    TORCH_CHECK(std::isfinite(eps) && eps >= 0, op, ": eps should be at least 0 and finite but is ", eps);
    TORCH_CHECK(border == "inside" || border == "reflect" || border == "symmetric", op,
                ": border should be 'inside', 'reflect' or 'symmetric' but is '", border, "'");
}

Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale, bool centred,
                     std::string_view border) {
    const Options options{radius, eps, scale, centred, std::string(border)};
    check("guided_filter", guide, input, options);
    const Tensor output = at::empty_symint(guide.sym_sizes(), guide.options());
    if (!guide.is_meta() && guide.numel() > 0) {
        const Tensor high = guide.contiguous(), low = input.contiguous();
        on_queue(guide, [&](const Queue *queue) {
            upwell::guided_filter(options, view(high), view(low), view(output), queue);
        });
    }
    return output;
}

Pair guided_filter_backward(const Tensor &d_output, const Tensor &guide, const Tensor &input, int64_t radius,
                            double eps, int64_t scale, bool centred, std::string_view border) {
    const Options options{radius, eps, scale, centred, std::string(border)};
    check("guided_filter_backward", guide, input, options);
    check_sizes("guided_filter_backward", "d_output", check_map("guided_filter_backward", "d_output", d_output),
                guide.sym_sizes().vec());
    check_alike("guided_filter_backward", "d_output", d_output, "guide", guide);
    const Tensor d_guide = at::empty_symint(guide.sym_sizes(), guide.options());
    const Tensor d_input = at::empty_symint(input.sym_sizes(), input.options());
    if (!guide.is_meta() && guide.numel() > 0) {
        const Tensor gradient = d_output.contiguous(), high = guide.contiguous(), low = input.contiguous();
        on_queue(guide, [&](const Queue *queue) {
            guided_filter_adjoint(options, view(high), view(low), view(gradient), view(d_guide), view(d_input), queue);
        });
    }
    return {d_guide, d_input};
}

class GuidedFilter : public torch::autograd::Function<GuidedFilter> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &guide, const Tensor &input, int64_t radius,
                          double eps, int64_t scale, bool centred, std::string_view border) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({guide, input});
        context->saved_data["options"] = std::make_tuple(radius, eps, scale, centred, std::string(border));
        return ops::guided_filter(guide, input, radius, eps, scale, centred, border);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(7);
        if (gradients[0].defined()) {
            const variable_list saved = context->get_saved_variables();
            const auto [radius, eps, scale, centred, border] =
                context->saved_data["options"].to<std::tuple<int64_t, double, int64_t, bool, std::string>>();
            std::tie(result[0], result[1]) =
                ops::guided_filter_backward(gradients[0], saved[0], saved[1], radius, eps, scale, centred, border);
        }
        return result;
    }
};

Tensor differentiable(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale, bool centred,
                      std::string_view border) {
    return GuidedFilter::apply(guide, input, radius, eps, scale, centred, border);
}

void implement(torch::Library &m) {
    m.impl("guided_filter", in_float<guided_filter>);
    m.impl("guided_filter_backward", in_float<guided_filter_backward>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale, bool centred,
                     std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(guided_filter)>("upwell::guided_filter");
    return op.call(guide, input, radius, eps, scale, centred, border);
}

std::tuple<Tensor, Tensor> guided_filter_backward(const Tensor &d_output, const Tensor &guide, const Tensor &input,
                                                  int64_t radius, double eps, int64_t scale, bool centred,
                                                  std::string_view border) {
    static const auto op =
        bridge::find_torch_operator<decltype(guided_filter_backward)>("upwell::guided_filter_backward");
    return op.call(d_output, guide, input, radius, eps, scale, centred, border);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("guided_filter(Tensor guide, Tensor input, int radius, float eps=1e-3, int scale=1, bool centred=False, "
          "str border=\"inside\") -> Tensor");
    m.def("guided_filter_backward(Tensor d_output, Tensor guide, Tensor input, int radius, float eps, int scale, "
          "bool centred, str border=\"inside\") -> (Tensor, Tensor)");
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
