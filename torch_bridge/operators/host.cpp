// The operators with a host side of their own, in torch: schema, kernels, gradients and autocast, all from their
// signatures.
#include <algorithm>

#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>

#include "../fourier.h"
#include "../in_float.h"
#include "host_gradient.h"
#include "registration.h"
#include "runtime/operators/host_call.h"

namespace upwell::bridge {
namespace {

using at::IValue;
using c10::DispatchKey;
using c10::OperatorHandle;
using torch::jit::Stack;
using Kind = OptionArgument::Kind;

// The first `count` outputs. A tensor on the meta device stops before the call.
std::vector<Tensor> compute(const HostOperator &op, HostArguments arguments, size_t count) {
    check_tensors(op, arguments);
    const int first = op.order[0];
    const at::ScalarType narrow = arguments.tensors[first].scalar_type();
    const bool is_narrow = is_16_bit(arguments.tensors[first]);
    const bool makes_kept = count > op.returned();
    TORCH_CHECK(!is_narrow || !makes_kept, op.signature.name, ": ", op.signature.inputs[first].name,
                " should be float32 or float64 but is ", narrow);
    const Refusal refusal{op.signature.name};
    const HostCheck check = checked(op, arguments, refusal);
    const bool is_meta = arguments.tensors[first].is_meta();
    for (Tensor &tensor : arguments.tensors) {
        if (tensor.defined() && !is_meta) {
            tensor = converted(tensor, is_narrow ? at::kFloat : narrow).contiguous();
        }
    }
    const Tensor &like = arguments.tensors[first];
    std::vector<Tensor> outputs;
    for (size_t i = 0; i < count; i++) {
        outputs.push_back(at::empty_symint(check.outputs()[i], like.options()));
    }
    if (is_meta) {
        return outputs;
    }
    HostCall call(op);
    for (size_t i = 0; i < call.inputs.size(); i++) {
        if (arguments.tensors[i].defined()) {
            call.inputs[i] = view(arguments.tensors[i]);
        }
    }
    for (size_t i = 0; i < call.outputs.size(); i++) {
        if (i < count) {
            call.outputs[i] = view(outputs[i]);
        } else {
            call.outputs[i] = {nullptr, call.inputs[first].dtype, C10_AS_INTARRAYREF_SLOW(check.outputs()[i]).vec(), {}};
        }
    }
    for (size_t i = 0; i < call.numbers.size(); i++) {
        if (const auto &value = check.values()[i]) {
            call.numbers[i] = value->expect_int();
        }
    }
    for (size_t i = 0; i < call.options.size(); i++) {
        const Kind kind = op.signature.options[i].kind;
        if (kind == Kind::Real) {
            call.options[i] = arguments.options[i].toDouble();
        } else if (kind == Kind::Text) {
            call.options[i] = arguments.options[i].toStringRef();
        } else if (kind == Kind::Fourier) {
            call.options[i] = torch_fourier(like);
        }
    }
    on_queue(like, [&](const Queue *queue) {
        call.queue = queue;
        run(std::move(call));
    });
    for (Tensor &output : outputs) {
        output = converted(output, narrow);
    }
    return outputs;
}

// Takes the arguments of a call off the stack and puts what f makes of them there.
template<class F> void replace(const HostOperator &op, Stack *stack, const F &f) {
    const size_t count = argument_count(op);
    const std::vector<Tensor> results = f(read_arguments(op, stack->data() + stack->size() - count));
    torch::jit::drop(*stack, count);
    stack->insert(stack->end(), results.begin(), results.end());
}

class Kernel : public c10::OperatorKernel {
public:
    Kernel(const HostOperator &op, bool with_kept) : op(op), count(with_kept ? op.outputs.size() : op.returned()) {}
    void operator()(const OperatorHandle &, c10::DispatchKeySet, Stack *stack) {
        replace(op, stack, [&](HostArguments arguments) { return compute(op, std::move(arguments), count); });
    }

private:
    const HostOperator &op;
    const size_t count;
};

class Differentiable : public c10::OperatorKernel {
public:
    explicit Differentiable(const HostOperator &op) : op(op), keeps_outputs(bridge::keeps_outputs(op)) {}
    void operator()(const OperatorHandle &handle, c10::DispatchKeySet keys, Stack *stack) {
        if (!is_differentiated(stack->data() + stack->size() - argument_count(op), op.inputs.size())) {
            const at::AutoDispatchBelowADInplaceOrView guard;
            handle.redispatchBoxed(keys & c10::after_ADInplaceOrView_keyset, stack);
            return;
        }
        replace(op, stack, [&](HostArguments arguments) {
            // What is kept is of outputs before they are rounded.
            const Tensor &first = arguments.tensors[op.order[0]];
            if (!keeps_outputs || !is_16_bit(first)) {
                return differentiable(op, arguments);
            }
            check_tensors(op, arguments);
            const at::ScalarType narrow = first.scalar_type();
            for (Tensor &tensor : arguments.tensors) {
                tensor = tensor.defined() ? tensor.to(at::kFloat) : tensor;
            }
            std::vector<Tensor> outputs = differentiable(op, arguments);
            for (Tensor &output : outputs) {
                output = output.to(narrow);
            }
            return outputs;
        });
    }

private:
    const HostOperator &op;
    const bool keeps_outputs;
};

template<at::DeviceType device> class Autocast : public c10::OperatorKernel {
public:
    explicit Autocast(const HostOperator &op) : op(op) {}
    void operator()(const OperatorHandle &handle, c10::DispatchKeySet, Stack *stack) {
        const c10::impl::ExcludeDispatchKeyGuard below(c10::autocast_dispatch_keyset);
        const at::ScalarType type = op.signature.autocast == Signature::Autocast::ToFloat
                                        ? at::kFloat
                                        : at::autocast::get_autocast_dtype(device);
        IValue *const first = stack->data() + stack->size() - argument_count(op);
        for (size_t i = 0; i < op.inputs.size(); i++) {
            if (!first[i].isNone()) {
                first[i] = at::autocast::cached_cast(type, first[i].toTensor(), device);
            }
        }
        handle.callBoxed(stack);
    }

private:
    const HostOperator &op;
};

// The kernels of one operator in torch.
void add(const HostOperator &op, const std::string &name, bool with_kept) {
    define(schema(op, with_kept));
    for (const DispatchKey key : {DispatchKey::CPU, DispatchKey::CUDA, DispatchKey::Meta}) {
        implement<Kernel>(key, name, op, with_kept);
    }
}

void add(const HostOperator &op) {
    const std::string &name = op.signature.name;
    add(op, name, false);
    if (op.outputs.size() > op.returned()) {
        add(op, name + "_forward", true);
        refuse_gradients(name + "_forward");
    }
    if (op.signature.gradients.empty()) {
        refuse_gradients(name);
    } else {
        implement<Differentiable>(DispatchKey::Autograd, name, op);
    }
    if (op.signature.autocast != Signature::Autocast::None) {
        implement<Autocast<at::kCPU>>(DispatchKey::AutocastCPU, name, op);
        implement<Autocast<at::kCUDA>>(DispatchKey::AutocastCUDA, name, op);
    }
}

const bool added = [] {
    for (const HostOperator &op : host_operators()) {
        add(op);
    }
    return true;
}();

}  // namespace
}  // namespace upwell::bridge
