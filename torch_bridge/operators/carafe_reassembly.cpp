// Content-aware reassembly with weights as given.
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../kernel.h"

namespace upwell::bridge {
namespace {

Weighted describe(const char *name, int64_t kernel, int64_t groups) {
    return {name, "carafe_reassembly", "weight", {kernel, groups, 0, Border::Zero}};
}

Tensor forward(const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups) {
    return weighted_forward(describe("carafe_reassembly", kernel, groups), value, weight);
}

Tensor d_value(const Tensor &d_output, const Tensor &weight, c10::SymInt h, c10::SymInt w, int64_t kernel,
               int64_t groups) {
    return weighted_d_value(describe("carafe_reassembly_d_value", kernel, groups), d_output, weight, {h, w});
}

Tensor d_weight(const Tensor &d_output, const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups) {
    return weighted_d_weight(describe("carafe_reassembly_d_weight", kernel, groups), d_output, value, weight);
}

struct CarafeReassembly {
    static constexpr auto forward = ops::carafe_reassembly;
    static constexpr auto d_value = ops::carafe_reassembly_d_value;
    static constexpr auto d_weight = ops::carafe_reassembly_d_weight;
};

Tensor differentiable(const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups) {
    return Forward<CarafeReassembly, int64_t, int64_t>::apply(value, weight, kernel, groups);
}

Tensor differentiable_d_value(const Tensor &d_output, const Tensor &weight, c10::SymInt h, c10::SymInt w,
                              int64_t kernel, int64_t groups) {
    return DValue<CarafeReassembly, int64_t, int64_t>::apply(d_output, weight, h, w, kernel, groups);
}

// The gradient of the weight is linear in d_output and in the value, and does not depend on the weight.
class DWeight : public torch::autograd::Function<DWeight> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &d_output, const Tensor &value, const Tensor &weight,
                          int64_t kernel, int64_t groups) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        save_options(context, kernel, groups);
        context->save_for_backward({d_output, value});
        return ops::carafe_reassembly_d_weight(d_output, value, weight, kernel, groups);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(5);
        if (!gradients[0].defined()) {
            return result;
        }
        const variable_list saved = context->get_saved_variables();
        with_options<int64_t, int64_t>(context, [&](int64_t kernel, int64_t groups) {
            if (context->needs_input_grad(0)) {
                result[0] = ops::carafe_reassembly(saved[1], gradients[0], kernel, groups);
            }
            if (context->needs_input_grad(1)) {
                result[1] = ops::carafe_reassembly_d_value(saved[0], gradients[0], saved[1].sym_size(2),
                                                           saved[1].sym_size(3), kernel, groups);
            }
        });
        return result;
    }
};

Tensor differentiable_d_weight(const Tensor &d_output, const Tensor &value, const Tensor &weight, int64_t kernel,
                               int64_t groups) {
    return DWeight::apply(d_output, value, weight, kernel, groups);
}

void implement(torch::Library &m) {
    m.impl("carafe_reassembly", forward);
    m.impl("carafe_reassembly_d_value", d_value);
    m.impl("carafe_reassembly_d_weight", d_weight);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor carafe_reassembly(const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups) {
    static const auto op = bridge::find_torch_operator<decltype(carafe_reassembly)>("upwell::carafe_reassembly");
    return op.call(value, weight, kernel, groups);
}

Tensor carafe_reassembly_d_value(const Tensor &d_output, const Tensor &weight, c10::SymInt h, c10::SymInt w,
                                 int64_t kernel, int64_t groups) {
    static const auto op =
        bridge::find_torch_operator<decltype(carafe_reassembly_d_value)>("upwell::carafe_reassembly_d_value");
    return op.call(d_output, weight, std::move(h), std::move(w), kernel, groups);
}

Tensor carafe_reassembly_d_weight(const Tensor &d_output, const Tensor &value, const Tensor &weight, int64_t kernel,
                                  int64_t groups) {
    static const auto op =
        bridge::find_torch_operator<decltype(carafe_reassembly_d_weight)>("upwell::carafe_reassembly_d_weight");
    return op.call(d_output, value, weight, kernel, groups);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("carafe_reassembly(Tensor value, Tensor weight, int kernel, int groups=1) -> Tensor");
    m.def("carafe_reassembly_d_value(Tensor d_output, Tensor weight, SymInt h, SymInt w, int kernel, int groups=1) "
          "-> Tensor");
    m.def("carafe_reassembly_d_weight(Tensor d_output, Tensor value, Tensor weight, int kernel, int groups=1) "
          "-> Tensor");
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
    m.impl("carafe_reassembly", differentiable);
    m.impl("carafe_reassembly_d_value", differentiable_d_value);
    m.impl("carafe_reassembly_d_weight", differentiable_d_weight);
}

}  // namespace upwell::bridge
