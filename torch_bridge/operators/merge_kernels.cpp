// A large kernel plus a small one at its centre.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/merge_kernels.h"

namespace upwell::bridge {
namespace {

using c10::SymInt;

Tensor merge_kernels(const Tensor &large, const Tensor &small) {
    const Sizes outer = check_map("merge_kernels", "large", large), inner = check_map("merge_kernels", "small", small);
    check_alike("merge_kernels", "small", small, "large", large);
    check_sizes("merge_kernels", "small", inner, {outer[0], outer[1], inner[2], inner[3]});
    for (const int d : {2, 3}) {
        const SymInt margin = outer[d] - inner[d];
        const auto bad = [&] {
            return c10::str("merge_kernels: small should be smaller than large ", format(outer),
                            " by an even number of rows and columns but is ", format(inner));
        };
        TORCH_SYM_CHECK(margin.sym_ge(0), bad());
        TORCH_SYM_CHECK((margin % 2).sym_eq(0), bad());
    }
    check_finite("merge_kernels", "large", large);
    check_finite("merge_kernels", "small", small);
    const Tensor merged = at::empty_symint(large.sym_sizes(), large.options());
    if (!large.is_meta() && large.numel() > 0) {
        const Tensor outer_map = large.contiguous(), inner_map = small.contiguous();
        on_queue(large, [&](const Queue *queue) {
            upwell::merge_kernels(view(outer_map), view(inner_map), view(merged), queue);
        });
    }
    return merged;
}

class MergeKernels : public torch::autograd::Function<MergeKernels> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &large, const Tensor &small) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        const Tensor merged = ops::merge_kernels(large, small);
        save_size(context, small.sym_size(2), small.sym_size(3));
        return merged;
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        const Tensor &d = gradients[0];
        if (!d.defined()) {
            return variable_list(2);
        }
        const auto [height, width] = saved_size(context);
        const auto centre = [](const Tensor &of, int64_t dimension, const SymInt &length) {
            return of.narrow_symint(dimension, (of.sym_size(dimension) - length) / 2, length);
        };
        return {d, context->needs_input_grad(1) ? centre(centre(d, 2, height), 3, width) : Tensor()};
    }
};

Tensor differentiable(const Tensor &large, const Tensor &small) {
    return MergeKernels::apply(large, small);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor merge_kernels(const Tensor &large, const Tensor &small) {
    static const auto op = bridge::find_torch_operator<decltype(merge_kernels)>("upwell::merge_kernels");
    return op.call(large, small);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("merge_kernels(Tensor large, Tensor small) -> Tensor");
}

TORCH_LIBRARY_IMPL(upwell, CPU, m) {
    m.impl("merge_kernels", in_float<merge_kernels>);
}
TORCH_LIBRARY_IMPL(upwell, CUDA, m) {
    m.impl("merge_kernels", in_float<merge_kernels>);
}
TORCH_LIBRARY_IMPL(upwell, Meta, m) {
    m.impl("merge_kernels", in_float<merge_kernels>);
}
TORCH_LIBRARY_IMPL(upwell, Autograd, m) {
    m.impl("merge_kernels", differentiable);
}

}  // namespace upwell::bridge
