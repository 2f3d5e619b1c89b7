// The operators that follow from descriptions, in torch: schema, kernels, gradients and autocast, all from what the
// runtime knows of an operator.
#include <ATen/autocast_mode.h>
#include <ATen/core/LegacyTypeDispatch.h>

#include "../in_float.h"
#include "registration.h"
#include "window_compute.h"
#include "window_gradient.h"

namespace upwell::bridge {
namespace {

using at::IValue;
using c10::DispatchKey;
using c10::OperatorHandle;
using torch::jit::Stack;

// The arguments of a call that lie on top of a stack.
struct Arguments {
    Arguments(const OperatorHandle &handle, const Operator &op, const Stack &stack)
        : count(handle.schema().arguments().size()), first(stack.data() + stack.size() - count),
          options(read_options(op, first + op.inputs.size())) {
        tensors.reserve(op.inputs.size());
        for (size_t i = 0; i < op.inputs.size(); i++) {
            tensors.push_back(first[i].toTensor());
        }
    }

    size_t count;
    const IValue *first;
    std::vector<Tensor> tensors;
    WindowOptions options;
};

class Kernel : public c10::OperatorKernel {
public:
    explicit Kernel(const Operator &op) : op(op) {}
    void operator()(const OperatorHandle &handle, c10::DispatchKeySet, Stack *stack) {
        const Arguments arguments(handle, op, *stack);
        const Tensor output = compute(op, arguments.tensors, arguments.options);
        torch::jit::drop(*stack, arguments.count);
        stack->emplace_back(output);
    }

private:
    const Operator &op;
};

class Differentiable : public c10::OperatorKernel {
public:
    explicit Differentiable(const Operator &op) : op(op) {}
    void operator()(const OperatorHandle &handle, c10::DispatchKeySet keys, Stack *stack) {
        const size_t count = handle.schema().arguments().size();
        if (!is_differentiated(stack->data() + stack->size() - count, op.inputs.size())) {
            const at::AutoDispatchBelowADInplaceOrView guard;
            handle.redispatchBoxed(keys & c10::after_ADInplaceOrView_keyset, stack);
            return;
        }
        const Arguments arguments(handle, op, *stack);
        const Tensor output = differentiable(op, arguments.tensors, arguments.options);
        torch::jit::drop(*stack, arguments.count);
        stack->emplace_back(output);
    }

private:
    const Operator &op;
};

// ---- Autocast: maps in its dtype, weights in float32.

template<at::DeviceType device> class Autocast : public c10::OperatorKernel {
public:
    explicit Autocast(const Operator &op) : op(op) {}
    void operator()(const OperatorHandle &handle, c10::DispatchKeySet, Stack *stack) {
        const c10::impl::ExcludeDispatchKeyGuard below(c10::autocast_dispatch_keyset);
        const size_t first = stack->size() - handle.schema().arguments().size(), count = op.inputs.size();
        const int weights = WindowRoles(op).weights;
        for (size_t i = 0; i < count; i++) {
            const at::ScalarType type =
                static_cast<int>(i) == weights ? at::kFloat : at::autocast::get_autocast_dtype(device);
            (*stack)[first + i] = at::autocast::cached_cast(type, (*stack)[first + i].toTensor(), device);
        }
        handle.callBoxed(stack);
    }

private:
    const Operator &op;
};

// ---- Two operators, one after the other.

class InTurn : public c10::OperatorKernel {
public:
    explicit InTurn(const Chain &chain) : chain(chain) {}
    void operator()(const OperatorHandle &handle, c10::DispatchKeySet, Stack *stack) {
        const size_t count = handle.schema().arguments().size();
        const IValue *first = stack->data() + stack->size() - count;
        const WindowOptions options = read_options(*chain.sum, first + chain.inputs.size());
        check(first, options);
        const auto &[value, query, key] = chain.parts;
        const Tensor scores = call(*chain.scores, {first[query].toTensor(), first[key].toTensor()}, options);
        const Tensor output = call(*chain.sum, {first[value].toTensor(), scores}, options);
        torch::jit::drop(*stack, count);
        stack->emplace_back(output);
    }

private:
    // In the names of this operator: the two have some of their own.
    void check(const IValue *first, const WindowOptions &options) const {
        const auto &[value, query, key] = chain.parts;
        const auto tensor = [&](int i) -> const Tensor & { return first[i].toTensor(); };
        const auto sizes_of = [&](int i) { return check_map(chain.name, chain.inputs[i], tensor(i)); };
        const Sizes low = sizes_of(value), high = sizes_of(query), keys = sizes_of(key);
        check_alike(chain.name, chain.inputs[key], tensor(key), chain.inputs[query], tensor(query));
        check_device(chain.name, chain.inputs[value], tensor(value), chain.inputs[query], tensor(query));
        check_sizes(chain.name, chain.inputs[query], high, {low[0], high[1], high[2], high[3]});
        check_sizes(chain.name, chain.inputs[key], keys, {low[0], high[1], low[2], low[3]});
        check_kernel_and_groups(chain.name, *chain.sum, options, low[1]);
        check_kernel_and_groups(chain.name, *chain.sum, options, high[1]);
        TORCH_CHECK(tensor(value).scalar_type() == tensor(query).scalar_type() ||
                        (is_16_bit(tensor(value)) && tensor(query).scalar_type() == at::kFloat) ||
                        (is_16_bit(tensor(query)) && tensor(value).scalar_type() == at::kFloat),
                    chain.name, ": ", chain.inputs[value], " should be ", tensor(query).scalar_type(), " like ",
                    chain.inputs[query], ", or one of them float32 beside 16 bits, but is ", tensor(value).scalar_type());
    }

    const Chain &chain;
};

// ---- Registration.

void add(const Operator &op) {
    define(schema(op));
    for (const DispatchKey key : {DispatchKey::CPU, DispatchKey::CUDA, DispatchKey::Meta}) {
        implement<Kernel>(key, op.name, op);
    }
    if (op.direction == Direction::DWeight && op.normaliser == Normaliser::Softmax) {
        refuse_gradients(op.name);
    } else {
        implement<Differentiable>(DispatchKey::Autograd, op.name, op);
    }
    if (op.has_weights() && !op.is_derivative) {
        implement<Autocast<at::kCPU>>(DispatchKey::AutocastCPU, op.name, op);
        implement<Autocast<at::kCUDA>>(DispatchKey::AutocastCUDA, op.name, op);
    }
}

void add(const Chain &chain) {
    define(schema(chain.name, chain.inputs, option_schema(*chain.sum)));
    implement<InTurn>(DispatchKey::CompositeImplicitAutograd, chain.name, chain);
}

const bool added = [] {
    for_each_operator_and_chain(
        {[](const Operator &op) { add(op); }, [](const Chain &chain) { add(chain); }});
    return true;
}();

}  // namespace
}  // namespace upwell::bridge
