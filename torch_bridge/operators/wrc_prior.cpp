// The prior of weighted reverse convolution.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/wrc_prior.h"

namespace upwell::bridge {
namespace {

using Pair = std::tuple<Tensor, Tensor>;
using Triple = std::tuple<Tensor, Tensor, Tensor>;

constexpr int64_t taps = 9;

// The output's sizes; throws.
Sizes check(const char *op, const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale) {
    const Sizes low = check_map(op, "x", x);
    check_alike(op, "mixed", mixed, "x", x);
    check_shape(op, "mixed", mixed, {low[0], low[1] * taps, low[2], low[3]});
    check_elements(op, "mixed", mixed.sym_sizes());
    check_alike(op, "lam", lam, "x", x);
    check_shape(op, "lam", lam, {low[1]});
    TORCH_CHECK(scale >= 1 && scale <= INT32_MAX, op, ": scale should be in 1 .. 2147483647 but is ", scale);
    const Sizes high{low[0], low[1], low[2] * scale, low[3] * scale};
    check_elements(op, "output", high);
    return high;
}

Pair wrc_prior(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale) {
    const Sizes high = check("wrc_prior", x, mixed, lam, scale);
    const Tensor precision = at::empty_symint(high, x.options()), weighted = at::empty_symint(high, x.options());
    if (x.is_meta() || x.numel() == 0) {
        return {precision, weighted};
    }
    const Tensor low = x.contiguous(), taps_of_low = mixed.contiguous(), offset = lam.contiguous();
    on_queue(x, [&](const Queue *queue) {
        upwell::wrc_prior(view(low), view(taps_of_low), view(offset), scale, view(precision), view(weighted), queue);
    });
    return {precision, weighted};
}

Triple wrc_prior_backward(const Tensor &d_precision, const Tensor &d_weighted, const Tensor &x, const Tensor &mixed,
                          const Tensor &lam, int64_t scale) {
    const char *op = "wrc_prior_backward";
    const Sizes high = check(op, x, mixed, lam, scale);
    check_alike(op, "d_precision", d_precision, "x", x);
    check_shape(op, "d_precision", d_precision, high);
    check_alike(op, "d_weighted", d_weighted, "x", x);
    check_shape(op, "d_weighted", d_weighted, high);
    const Tensor d_x = at::empty_symint(x.sym_sizes(), x.options());
    const Tensor d_mixed = at::empty_symint(mixed.sym_sizes(), x.options());
    if (x.is_meta() || x.numel() == 0) {
        return {d_x, d_mixed, at::zeros_symint(lam.sym_sizes(), x.options())};
    }
    const Tensor d_lam = at::empty_symint(lam.sym_sizes(), x.options());
    const Tensor low = x.contiguous(), taps_of_low = mixed.contiguous(), offset = lam.contiguous(),
                 of_precision = d_precision.contiguous(), of_weighted = d_weighted.contiguous();
    on_queue(x, [&](const Queue *queue) {
        wrc_prior_adjoint(view(low), view(taps_of_low), view(offset), scale, view(of_precision), view(of_weighted),
                          view(d_x), view(d_mixed), view(d_lam), queue);
    });
    return {d_x, d_mixed, d_lam};
}

class WrcPrior : public torch::autograd::Function<WrcPrior> {
public:
    static constexpr bool is_traceable = true;

    static variable_list forward(AutogradContext *context, const Tensor &x, const Tensor &mixed, const Tensor &lam,
                                 int64_t scale) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({x, mixed, lam});
        context->saved_data["scale"] = scale;
        const auto [precision, weighted] = ops::wrc_prior(x, mixed, lam, scale);
        return {precision, weighted};
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        const variable_list saved = context->get_saved_variables();
        const int64_t scale = context->saved_data["scale"].toInt();
        const Tensor &x = saved[0];
        const auto given = [&](int i) {
            if (gradients[i].defined()) {
                return gradients[i];
            }
            const Sizes high{x.sym_size(0), x.sym_size(1), x.sym_size(2) * scale, x.sym_size(3) * scale};
            return at::zeros_symint(high, x.options());
        };
        const auto [d_x, d_mixed, d_lam] = ops::wrc_prior_backward(given(0), given(1), x, saved[1], saved[2], scale);
        return {d_x, d_mixed, d_lam, Tensor()};
    }
};

Pair differentiable(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale) {
    const variable_list outputs = WrcPrior::apply(x, mixed, lam, scale);
    return {outputs[0], outputs[1]};
}

void implement(torch::Library &m) {
    m.impl("wrc_prior", in_float<wrc_prior>);
    m.impl("wrc_prior_backward", in_float<wrc_prior_backward>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

std::tuple<Tensor, Tensor> wrc_prior(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_prior)>("upwell::wrc_prior");
    return op.call(x, mixed, lam, scale);
}

std::tuple<Tensor, Tensor, Tensor> wrc_prior_backward(const Tensor &d_precision, const Tensor &d_weighted,
                                                      const Tensor &x, const Tensor &mixed, const Tensor &lam,
                                                      int64_t scale) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_prior_backward)>("upwell::wrc_prior_backward");
    return op.call(d_precision, d_weighted, x, mixed, lam, scale);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("wrc_prior(Tensor x, Tensor mixed, Tensor lam, int scale) -> (Tensor, Tensor)");
    m.def("wrc_prior_backward(Tensor d_precision, Tensor d_weighted, Tensor x, Tensor mixed, Tensor lam, int scale) -> "
          "(Tensor, Tensor, Tensor)");
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
    m.impl("wrc_prior", differentiable);
    m.impl("wrc_prior_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
