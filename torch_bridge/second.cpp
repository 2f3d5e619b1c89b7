#include "second.h"

#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "in_float.h"
#include "operators/gradient.h"
#include "tap_weights.h"

namespace upwell::bridge {
namespace {

using at::IValue;
using torch::jit::Stack;

// The operator whose gradient by the logits of a softmax `op` makes; null: it makes no such.
const Operator *softmax_of(const Operator &op) {
    const std::string &name = op.signature.name;
    if (const WindowOperator *window = find_window_operator(name)) {
        const bool is_by_logits = window->direction == Direction::DWeight && window->normaliser == Normaliser::Softmax;
        const WindowOperator *sum = window->directions[static_cast<int>(Direction::Forward)];
        return is_by_logits ? find_operator(sum->name) : nullptr;
    }
    return find_operator(name == "local_attention_backward" ? "local_attention" : "");
}

// A sum over taps with softmax weights, at one value and logits.
class SoftmaxSum {
public:
    SoftmaxSum(const Operator &op, const Operator &gradient, const Arguments &arguments) : op(op) {
        for (const OptionArgument &option : op.signature.options) {
            options.push_back(arguments.options[gradient.option(option.name)]);
        }
    }

    Tensor operator()(const Tensor &value, const Tensor &logits) const {
        Stack stack{value, logits};
        stack.insert(stack.end(), options.begin(), options.end());
        return call(op.signature.name, std::move(stack))[0];
    }

    // How it changes with the logits: sum_i w_i (t_i - sum_j w_j t_j) value_i. With t centred so, and any r above its
    // elements' size, weights w_i (1 + t_i / r) are the softmax of logits_i + log(1 + t_i / r): it is r times the
    // difference of two sums, exactly, for every t, and can be differentiated as those can.
    Tensor tangent(const Tensor &value, const Tensor &logits, const Tensor &change) const {
        const Tensor weights = tap_weights(op, {{value, logits}, options});  // [N, groups, T, H, W]
        const Tensor t = change.reshape_symint(weights.sym_sizes());
        const Tensor centred = (t - (weights * t).sum(2, true)).masked_fill(weights == 0, 0);
        const Tensor size = centred.detach().abs().amax(2, true);
        const Tensor r = (2 * size).masked_fill(size == 0, 1);
        const Tensor moved = logits + (centred / r).log1p().reshape_symint(logits.sym_sizes());
        const Tensor difference = (*this)(value, moved) - (*this)(value, logits);
        const c10::SymInt groups = weights.sym_size(1);
        return (difference.unflatten_symint(1, {groups, difference.sym_size(1) / groups}) * r).flatten(1, 2);
    }

private:
    const Operator &op;
    std::vector<IValue> options;
};

// The same number, on its own in the graph: what follows from another argument is not part of its gradient.
Tensor alone(const Tensor &tensor, bool is_needed) {
    if (!tensor.defined()) {
        return tensor;
    }
    const Tensor own = tensor.view_as(tensor);  // detach() would be one in every transform around this one
    return is_needed && !own.requires_grad() ? own.set_requires_grad(true) : own;
}

Tensor in_float(const Tensor &tensor) {
    return tensor.defined() && is_16_bit(tensor) ? tensor.to(at::kFloat) : tensor;
}

// The gradients by those of `inputs` that are needed, where what was made has these.
std::vector<Tensor> differentiated(const std::vector<Tensor> &made, const std::vector<Tensor> &of_made,
                                   const std::vector<Tensor> &inputs, const std::vector<bool> &needed,
                                   bool is_differentiated) {
    std::vector<Tensor> roots, of_roots, leaves, result(inputs.size());
    for (size_t i = 0; i < made.size(); i++) {
        if (made[i].defined() && made[i].requires_grad() && of_made[i].defined()) {
            roots.push_back(made[i]);
            of_roots.push_back(of_made[i]);
        }
    }
    for (size_t i = 0; i < inputs.size(); i++) {
        if (needed[i]) {
            leaves.push_back(inputs[i]);
        }
    }
    if (roots.empty() || leaves.empty()) {
        return result;
    }
    const std::vector<Tensor> found =
        torch::autograd::grad(roots, leaves, of_roots, is_differentiated, is_differentiated, true);
    size_t next = 0;
    for (size_t i = 0; i < inputs.size(); i++) {
        if (needed[i]) {
            result[i] = found[next++];
        }
    }
    return result;
}

// d_logits (and d_value) of d_output, value and logits: its product with a change of logits is that of d_output and how
// the sum changes with them.
std::vector<Tensor> of_softmax(const Operator &sum, const Operator &op, const Arguments &arguments,
                               const std::vector<Tensor> &gradients, const std::vector<bool> &needed,
                               bool is_differentiated) {
    const SoftmaxSum apply(sum, op, arguments);
    const Tensor d_output = in_float(arguments.tensors[0]);
    const Tensor value = alone(in_float(arguments.tensors[1]), needed[1]);
    const Tensor logits = alone(in_float(arguments.tensors[2]), needed[2]);
    Tensor made;
    if (const Tensor change = in_float(gradients.back()); change.defined()) {
        made = apply.tangent(value, logits, change);
    }
    if (gradients.size() == 2 && gradients[0].defined()) {
        const Tensor of_value = apply(in_float(gradients[0]), logits);
        made = made.defined() ? made + of_value : of_value;
    }
    std::vector<Tensor> result =
        differentiated({made}, {d_output}, {made, value, logits}, {false, needed[1], needed[2]}, is_differentiated);
    const at::AutoGradMode as_asked(is_differentiated);
    result[0] = is_differentiated ? made : made.view_as(made);
    return result;
}

std::vector<Tensor> of_composed(const Operator &op, const Arguments &arguments, const std::vector<Tensor> &gradients,
                                const std::vector<bool> &needed, bool is_differentiated) {
    const auto found = c10::Dispatcher::singleton().findSchema({"upwell::" + op.signature.name + "_composed", ""});
    TORCH_CHECK(found, "derivative for upwell::", op.signature.name, " is not implemented");
    std::vector<Tensor> inputs;
    for (const Tensor &tensor : arguments.tensors) {
        inputs.push_back(alone(in_float(tensor), true));
    }
    Stack stack = stack_of(op, {inputs, arguments.options});
    found->callBoxed(stack);
    std::vector<Tensor> made;
    for (const IValue &each : stack) {
        made.push_back(each.toTensor());
    }
    std::vector<Tensor> of_made;
    for (const Tensor &gradient : gradients) {
        of_made.push_back(in_float(gradient));
    }
    return differentiated(made, of_made, inputs, needed, is_differentiated);
}

}  // namespace

Tensor sum(const Tensor &a, const Tensor &b) {
    return a + b;
}

std::vector<Tensor> second_gradients(const Operator &op, const Arguments &arguments,
                                     const std::vector<Tensor> &gradients, const std::vector<bool> &needed) {
    const bool is_differentiated = at::GradMode::is_enabled();
    const at::AutoGradMode record(true);
    const c10::impl::ExcludeDispatchKeyGuard as_given(c10::autocast_dispatch_keyset);
    if (const Operator *sum = softmax_of(op)) {
        return of_softmax(*sum, op, arguments, gradients, needed, is_differentiated);
    }
    return of_composed(op, arguments, gradients, needed, is_differentiated);
}

}  // namespace upwell::bridge
