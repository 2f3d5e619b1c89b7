// The window operators as C++ functions.
#include "../dispatch.h"
#include "../operators.h"

namespace upwell::ops {

Tensor fns(const Tensor &value, const Tensor &logits, int64_t kernel, std::optional<int64_t> mask_ratio) {
    static const auto op = bridge::find_torch_operator<decltype(fns)>("upwell::fns");
    return op.call(value, logits, kernel, mask_ratio);
}

Tensor carafe(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups, std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(carafe)>("upwell::carafe");
    return op.call(value, logits, kernel, groups, border);
}

Tensor carafe_reassembly(const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups) {
    static const auto op = bridge::find_torch_operator<decltype(carafe_reassembly)>("upwell::carafe_reassembly");
    return op.call(value, weight, kernel, groups);
}

Tensor bilinear(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
                std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(bilinear)>("upwell::bilinear");
    return op.call(value, size, scale_h, scale_w);
}

Tensor nearest(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
               std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(nearest)>("upwell::nearest");
    return op.call(value, size, scale_h, scale_w);
}

}  // namespace upwell::ops
