// Content-aware reassembly with the softmax inside.
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../kernel.h"

namespace upwell::bridge {
namespace {

Weighted describe(const char *name, int64_t kernel, int64_t groups, std::string_view border) {
    TORCH_CHECK(border == "zero" || border == "mask", name, ": border should be 'zero' or 'mask' but is '", border,
                "'");
    return {name, "carafe", "logits", {kernel, groups, 0, border == "mask" ? Border::Masked : Border::Zero}};
}

Tensor forward(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups, std::string_view border) {
    return weighted_forward(describe("carafe", kernel, groups, border), value, logits);
}

Tensor d_value(const Tensor &d_output, const Tensor &logits, c10::SymInt h, c10::SymInt w, int64_t kernel,
               int64_t groups, std::string_view border) {
    return weighted_d_value(describe("carafe_d_value", kernel, groups, border), d_output, logits, {h, w});
}

Tensor d_logits(const Tensor &d_output, const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups,
                std::string_view border) {
    return weighted_d_weight(describe("carafe_d_logits", kernel, groups, border), d_output, value, logits);
}

struct Carafe {
    static constexpr auto forward = ops::carafe;
    static constexpr auto d_value = ops::carafe_d_value;
    static constexpr auto d_weight = ops::carafe_d_logits;
};

Tensor differentiable(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups,
                      std::string_view border) {
    return Forward<Carafe, int64_t, int64_t, std::string_view>::apply(value, logits, kernel, groups, border);
}

Tensor differentiable_d_value(const Tensor &d_output, const Tensor &logits, c10::SymInt h, c10::SymInt w,
                              int64_t kernel, int64_t groups, std::string_view border) {
    return DValue<Carafe, int64_t, int64_t, std::string_view>::apply(d_output, logits, h, w, kernel, groups, border);
}

void implement(torch::Library &m) {
    m.impl("carafe", forward);
    m.impl("carafe_d_value", d_value);
    m.impl("carafe_d_logits", d_logits);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor carafe(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups, std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(carafe)>("upwell::carafe");
    return op.call(value, logits, kernel, groups, border);
}

Tensor carafe_d_value(const Tensor &d_output, const Tensor &logits, c10::SymInt h, c10::SymInt w, int64_t kernel,
                      int64_t groups, std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(carafe_d_value)>("upwell::carafe_d_value");
    return op.call(d_output, logits, std::move(h), std::move(w), kernel, groups, border);
}

Tensor carafe_d_logits(const Tensor &d_output, const Tensor &value, const Tensor &logits, int64_t kernel,
                       int64_t groups, std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(carafe_d_logits)>("upwell::carafe_d_logits");
    return op.call(d_output, value, logits, kernel, groups, border);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("carafe(Tensor value, Tensor logits, int kernel, int groups=1, str border=\"zero\") -> Tensor");
    m.def("carafe_d_value(Tensor d_output, Tensor logits, SymInt h, SymInt w, int kernel, int groups=1, "
          "str border=\"zero\") -> Tensor");
    m.def("carafe_d_logits(Tensor d_output, Tensor value, Tensor logits, int kernel, int groups=1, "
          "str border=\"zero\") -> Tensor");
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
    m.impl("carafe", differentiable);
    m.impl("carafe_d_value", differentiable_d_value);
    m.impl("carafe_d_logits", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
