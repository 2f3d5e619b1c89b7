// T(weights, value, d_output) is linear in each, a softmax of weights aside: of whichever is made, the
// gradient by another is the direction that makes that other one, the incoming gradient in the place of the first.
#include "window_gradient.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

namespace upwell::bridge {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using torch::jit::Stack;

Tensor call(const Operator &op, const std::vector<Tensor> &tensors, const WindowOptions &options) {
    Stack stack(tensors.begin(), tensors.end());
    push_options(stack, op, options);
    c10::Dispatcher::singleton().findSchemaOrThrow(("upwell::" + op.name).c_str(), "").callBoxed(stack);
    return stack[0].toTensor();
}

namespace {

void save_options(AutogradContext *context, const WindowOptions &options) {
    auto &data = context->saved_data;
    data["kernel"] = options.kernel;
    data["groups"] = options.groups;
    data["border"] = options.border;
    data["mask_ratio"] = options.mask_ratio;
    data["scale_h"] = options.scale_h;
    data["scale_w"] = options.scale_w;
}

WindowOptions saved_options(AutogradContext *context) {
    auto &data = context->saved_data;
    WindowOptions options;
    options.kernel = data["kernel"].toInt();
    options.groups = data["groups"].toInt();
    options.border = data["border"].toStringRef();
    options.mask_ratio = data["mask_ratio"].toOptional<int64_t>();
    options.scale_h = data["scale_h"].toOptional<double>();
    options.scale_w = data["scale_w"].toOptional<double>();
    return options;
}

class Derivative : public torch::autograd::Function<Derivative> {
public:
    static constexpr bool is_traceable = true;

    // Keeps the inputs that gradients are made of, and nothing else.
    static Tensor forward(AutogradContext *context, const Operator *op, at::TensorList inputs, const WindowOptions &options) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        Tensor output = call(*op, inputs.vec(), options);
        const WindowRoles roles(*op);
        variable_list kept;
        for (size_t i = 0; i < inputs.size(); i++) {
            bool is_used = static_cast<int>(i) == roles.weights && op->normaliser == Normaliser::Softmax;
            for (size_t other = 0; other < inputs.size(); other++) {
                is_used = is_used || (other != i && inputs[other].requires_grad());
            }
            kept.push_back(is_used ? inputs[i] : Tensor());
        }
        context->save_for_backward(std::move(kept));
        context->saved_data["operator"] = op->name;
        save_options(context, options);
        const Tensor &low = roles.value >= 0 ? inputs[roles.value] : output;
        const Tensor &high = roles.d_output >= 0 ? inputs[roles.d_output] : output;
        for (const auto &[name, size] : {std::pair{"h", low.sym_size(2)}, {"w", low.sym_size(3)},
                                         {"H", high.sym_size(2)}, {"W", high.sym_size(3)}}) {
            context->saved_data[name] = size;
        }
        return output;
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        const Operator &op = *find_window_operator(context->saved_data["operator"].toStringRef());
        const variable_list saved = context->get_saved_variables();
        variable_list result(saved.size() + 2);  // the operator stands before the tensors, options behind
        if (!gradients[0].defined()) {
            return result;
        }
        const WindowRoles roles(op);
        const auto tensor_of = [&](int at) { return at < 0 ? Tensor() : saved[at]; };
        std::array<Tensor, 3> by_direction{tensor_of(roles.d_output), tensor_of(roles.value), tensor_of(roles.weights)};
        by_direction[static_cast<int>(op.direction)] = gradients[0];
        WindowOptions options = saved_options(context);
        for (const auto &[direction, at] : {std::pair{Direction::Forward, roles.d_output},
                                            {Direction::DValue, roles.value}, {Direction::DWeight, roles.weights}}) {
            if (at < 0 || !context->needs_input_grad(at)) {
                continue;
            }
            const Operator &of_input = *op.directions[static_cast<int>(direction)];
            std::vector<Tensor> tensors;
            for (const Direction role : {Direction::Forward, Direction::DValue}) {
                if (role != direction) {
                    tensors.push_back(by_direction[static_cast<int>(role)]);
                }
            }
            if (!of_input.weights.empty()) {
                tensors.push_back(by_direction[static_cast<int>(Direction::DWeight)]);
            }
            auto &data = context->saved_data;
            options.size = direction == Direction::DValue ? Sizes{data["h"].toSymInt(), data["w"].toSymInt()}
                                                          : Sizes{data["H"].toSymInt(), data["W"].toSymInt()};
            result[at + 1] = call(of_input, tensors, options);
        }
        return result;
    }
};

}  // namespace

Tensor differentiable(const Operator &op, const std::vector<Tensor> &tensors, const WindowOptions &options) {
    return Derivative::apply(&op, at::TensorList(tensors), options);
}

}  // namespace upwell::bridge
