// Bilinear and nearest interpolation.
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../kernel.h"

namespace upwell::bridge {
namespace {

Tensor bilinear(const Tensor &value, c10::SymIntArrayRef size, Scale scale_h, Scale scale_w) {
    return resample("bilinear", "value", value, size, scale_h, scale_w);
}
Tensor nearest(const Tensor &value, c10::SymIntArrayRef size, Scale scale_h, Scale scale_w) {
    return resample("nearest", "value", value, size, scale_h, scale_w);
}

Tensor bilinear_d_value(const Tensor &d_output, c10::SymIntArrayRef size, Scale scale_h, Scale scale_w) {
    return resample("bilinear_d_value", "d_output", d_output, size, scale_h, scale_w);
}

Tensor nearest_d_value(const Tensor &d_output, c10::SymIntArrayRef size, Scale scale_h, Scale scale_w) {
    return resample("nearest_d_value", "d_output", d_output, size, scale_h, scale_w);
}

template<Resample apply_operator, Resample transpose>
Tensor differentiable(const Tensor &input, c10::SymIntArrayRef size, Scale scale_h, Scale scale_w) {
    return Linear<apply_operator, transpose>::apply(input, size, scale_h, scale_w);
}

void implement(torch::Library &m) {
    m.impl("bilinear", bilinear);
    m.impl("bilinear_d_value", bilinear_d_value);
    m.impl("nearest", nearest);
    m.impl("nearest_d_value", nearest_d_value);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor bilinear(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
                std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(bilinear)>("upwell::bilinear");
    return op.call(value, size, scale_h, scale_w);
}

Tensor bilinear_d_value(const Tensor &d_output, c10::SymIntArrayRef size, std::optional<double> scale_h,
                        std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(bilinear_d_value)>("upwell::bilinear_d_value");
    return op.call(d_output, size, scale_h, scale_w);
}

Tensor nearest(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
               std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(nearest)>("upwell::nearest");
    return op.call(value, size, scale_h, scale_w);
}

Tensor nearest_d_value(const Tensor &d_output, c10::SymIntArrayRef size, std::optional<double> scale_h,
                       std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(nearest_d_value)>("upwell::nearest_d_value");
    return op.call(d_output, size, scale_h, scale_w);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("bilinear(Tensor value, SymInt[2] size, float? scale_h=None, float? scale_w=None) -> Tensor");
    m.def("bilinear_d_value(Tensor d_output, SymInt[2] size, float? scale_h=None, float? scale_w=None) -> Tensor");
    m.def("nearest(Tensor value, SymInt[2] size, float? scale_h=None, float? scale_w=None) -> Tensor");
    m.def("nearest_d_value(Tensor d_output, SymInt[2] size, float? scale_h=None, float? scale_w=None) -> Tensor");
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
    m.impl("bilinear", (differentiable<ops::bilinear, ops::bilinear_d_value>));
    m.impl("bilinear_d_value", (differentiable<ops::bilinear_d_value, ops::bilinear>));
    m.impl("nearest", (differentiable<ops::nearest, ops::nearest_d_value>));
    m.impl("nearest_d_value", (differentiable<ops::nearest_d_value, ops::nearest>));
}

}  // namespace upwell::bridge
