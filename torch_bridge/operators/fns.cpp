// Fused neighbour selection.
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../kernel.h"

namespace upwell::bridge {
namespace {

using MaskRatio = std::optional<int64_t>;

Weighted describe(const char *name, int64_t kernel, MaskRatio mask_ratio) {
    TORCH_CHECK(!mask_ratio || *mask_ratio >= 1, name, ": mask_ratio should be at least 1 but is ", *mask_ratio);
    return {name, "fns", "logits", {kernel, 1, mask_ratio.value_or(0), Border::Zero}};
}

Tensor forward(const Tensor &value, const Tensor &logits, int64_t kernel, MaskRatio mask_ratio) {
    return weighted_forward(describe("fns", kernel, mask_ratio), value, logits);
}

Tensor d_value(const Tensor &d_output, const Tensor &logits, c10::SymInt h, c10::SymInt w, int64_t kernel,
               MaskRatio mask_ratio) {
    return weighted_d_value(describe("fns_d_value", kernel, mask_ratio), d_output, logits, {h, w});
}

Tensor d_logits(const Tensor &d_output, const Tensor &value, const Tensor &logits, int64_t kernel,
                MaskRatio mask_ratio) {
    return weighted_d_weight(describe("fns_d_logits", kernel, mask_ratio), d_output, value, logits);
}

struct Fns {
    static constexpr auto forward = ops::fns;
    static constexpr auto d_value = ops::fns_d_value;
    static constexpr auto d_weight = ops::fns_d_logits;
};

Tensor differentiable(const Tensor &value, const Tensor &logits, int64_t kernel, MaskRatio mask_ratio) {
    return Forward<Fns, int64_t, MaskRatio>::apply(value, logits, kernel, mask_ratio);
}

Tensor differentiable_d_value(const Tensor &d_output, const Tensor &logits, c10::SymInt h, c10::SymInt w,
                              int64_t kernel, MaskRatio mask_ratio) {
    return DValue<Fns, int64_t, MaskRatio>::apply(d_output, logits, h, w, kernel, mask_ratio);
}

void implement(torch::Library &m) {
    m.impl("fns", forward);
    m.impl("fns_d_value", d_value);
    m.impl("fns_d_logits", d_logits);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor fns(const Tensor &value, const Tensor &logits, int64_t kernel, std::optional<int64_t> mask_ratio) {
    static const auto op = bridge::find_torch_operator<decltype(fns)>("upwell::fns");
    return op.call(value, logits, kernel, mask_ratio);
}

Tensor fns_d_value(const Tensor &d_output, const Tensor &logits, c10::SymInt h, c10::SymInt w, int64_t kernel,
                   std::optional<int64_t> mask_ratio) {
    static const auto op = bridge::find_torch_operator<decltype(fns_d_value)>("upwell::fns_d_value");
    return op.call(d_output, logits, std::move(h), std::move(w), kernel, mask_ratio);
}

Tensor fns_d_logits(const Tensor &d_output, const Tensor &value, const Tensor &logits, int64_t kernel,
                    std::optional<int64_t> mask_ratio) {
    static const auto op = bridge::find_torch_operator<decltype(fns_d_logits)>("upwell::fns_d_logits");
    return op.call(d_output, value, logits, kernel, mask_ratio);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("fns(Tensor value, Tensor logits, int kernel, int? mask_ratio=None) -> Tensor");
    m.def(
        "fns_d_value(Tensor d_output, Tensor logits, SymInt h, SymInt w, int kernel, int? mask_ratio=None) -> Tensor");
    m.def("fns_d_logits(Tensor d_output, Tensor value, Tensor logits, int kernel, int? mask_ratio=None) -> Tensor");
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
    m.impl("fns", differentiable);
    m.impl("fns_d_value", differentiable_d_value);
    m.impl("fns_d_logits", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
