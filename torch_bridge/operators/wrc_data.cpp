// The weight of the data in weighted reverse convolution.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/wrc_data.h"

namespace upwell::bridge {
namespace {

using Pair = std::tuple<Tensor, Tensor>;

void check(const char *op, const Tensor &x, const Tensor &response) {
    const Sizes sizes = check_map(op, "x", x);
    check_alike(op, "response", response, "x", x);
    check_shape(op, "response", response, sizes);
}

Pair wrc_data(const Tensor &x, const Tensor &response) {
    check("wrc_data", x, response);
    const Tensor weight = at::empty_symint(x.sym_sizes(), x.options());
    const Tensor weighted = at::empty_symint(x.sym_sizes(), x.options());
    if (!x.is_meta() && x.numel() > 0) {
        const Tensor samples = x.contiguous(), responses = response.contiguous();
        on_queue(x, [&](const Queue *queue) {
            upwell::wrc_data(view(samples), view(responses), view(weight), view(weighted), queue);
        });
    }
    return {weight, weighted};
}

Pair wrc_data_backward(const Tensor &d_weight, const Tensor &d_weighted, const Tensor &x, const Tensor &response) {
    const char *op = "wrc_data_backward";
    check(op, x, response);
    check_alike(op, "d_weight", d_weight, "x", x);
    check_shape(op, "d_weight", d_weight, x.sym_sizes().vec());
    check_alike(op, "d_weighted", d_weighted, "x", x);
    check_shape(op, "d_weighted", d_weighted, x.sym_sizes().vec());
    const Tensor d_x = at::empty_symint(x.sym_sizes(), x.options());
    const Tensor d_response = at::empty_symint(x.sym_sizes(), x.options());
    if (!x.is_meta() && x.numel() > 0) {
        const Tensor samples = x.contiguous(), responses = response.contiguous(), of_weight = d_weight.contiguous(),
                     of_weighted = d_weighted.contiguous();
        on_queue(x, [&](const Queue *queue) {
            wrc_data_adjoint(view(samples), view(responses), view(of_weight), view(of_weighted), view(d_x),
                             view(d_response), queue);
        });
    }
    return {d_x, d_response};
}

class WrcData : public torch::autograd::Function<WrcData> {
public:
    static constexpr bool is_traceable = true;

    static variable_list forward(AutogradContext *context, const Tensor &x, const Tensor &response) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({x, response});
        const auto [weight, weighted] = ops::wrc_data(x, response);
        return {weight, weighted};
    }

    // A gradient that nothing asked for arrives as zeros.
    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        const variable_list saved = context->get_saved_variables();
        const auto given = [&](int i) { return gradients[i].defined() ? gradients[i] : at::zeros_like(saved[0]); };
        const auto [d_x, d_response] = ops::wrc_data_backward(given(0), given(1), saved[0], saved[1]);
        return {d_x, d_response};
    }
};

Pair differentiable(const Tensor &x, const Tensor &response) {
    const variable_list outputs = WrcData::apply(x, response);
    return {outputs[0], outputs[1]};
}

void implement(torch::Library &m) {
    m.impl("wrc_data", in_float<wrc_data>);
    m.impl("wrc_data_backward", in_float<wrc_data_backward>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

std::tuple<Tensor, Tensor> wrc_data(const Tensor &x, const Tensor &response) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_data)>("upwell::wrc_data");
    return op.call(x, response);
}

std::tuple<Tensor, Tensor> wrc_data_backward(const Tensor &d_weight, const Tensor &d_weighted, const Tensor &x,
                                             const Tensor &response) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_data_backward)>("upwell::wrc_data_backward");
    return op.call(d_weight, d_weighted, x, response);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("wrc_data(Tensor x, Tensor response) -> (Tensor, Tensor)");
    m.def("wrc_data_backward(Tensor d_weight, Tensor d_weighted, Tensor x, Tensor response) -> (Tensor, Tensor)");
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
    m.impl("wrc_data", differentiable);
    m.impl("wrc_data_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
