// The operators in torch: schema, implementations, gradients and autocast, all from their signatures.
#include <algorithm>

#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>

#include "../batched.h"
#include "../fourier.h"
#include "../in_float.h"
#include "../pooled.h"
#include "../tap_weights.h"
#include "gradient.h"
#include "registration.h"
#include "runtime/operator_call.h"

namespace upwell::bridge {
namespace {

using at::IValue;
using c10::DispatchKey;
using c10::OperatorHandle;
using torch::jit::Stack;
using Kind = OptionArgument::Kind;

at::ScalarType wide(at::ScalarType type) {
    return type == at::kHalf || type == at::kBFloat16 ? at::kFloat : type;
}

// The dtypes of a call: what kernels take and make, and what callers see of an output.
struct Dtypes {
    at::ScalarType map, stored;  // stored: what kernels have for a map of this dtype

    Dtypes(const Operator &op, const Tensor &like)
        : map(like.scalar_type()), stored(op.signature.has_16_bits && runs_on_gpu(like) ? map : wide(map)) {}

    at::ScalarType of(bool is_wide) const { return is_wide ? wide(map) : stored; }
    // Of a wide output that of an input which is wide too.
    at::ScalarType seen(const Operator &op, size_t output, const std::vector<Tensor> &inputs) const {
        if (!op.signature.outputs[output].is_wide) {
            return map;
        }
        for (size_t i = 0; i < inputs.size(); i++) {
            if (op.signature.inputs[i].is_wide) {
                return inputs[i].scalar_type();
            }
        }
        return wide(map);
    }
};

// The first `count` outputs. A tensor on the meta device stops before the call.
std::vector<Tensor> compute(const Operator &op, Arguments arguments, size_t count) {
    check_tensors(op, arguments);
    const int first = op.order[0];
    const Tensor like = arguments.tensors[first];
    const Dtypes dtypes(op, like);
    TORCH_CHECK(!is_16_bit(like) || count == op.returned(), op.signature.name, ": ", op.signature.inputs[first].name,
                " should be float32 or float64 but is ", dtypes.map);
    const Refusal refusal{op.signature.name};
    const Check check = checked(op, arguments, refusal);
    std::vector<at::ScalarType> seen;
    std::vector<Tensor> outputs;
    for (size_t i = 0; i < count; i++) {
        seen.push_back(dtypes.seen(op, i, arguments.tensors));
        const at::ScalarType made = like.is_meta() ? seen[i] : dtypes.of(op.signature.outputs[i].is_wide);
        const at::TensorOptions options = like.options().dtype(made);
        outputs.push_back(op.signature.outputs[i].is_kept && like.is_cpu()
                              ? pooled(C10_AS_INTARRAYREF_SLOW(check.outputs()[i]), options)
                              : at::empty_symint(check.outputs()[i], options));
    }
    if (like.is_meta()) {
        return outputs;
    }
    for (size_t i = 0; i < arguments.tensors.size(); i++) {
        if (Tensor &tensor = arguments.tensors[i]; tensor.defined()) {
            tensor = converted(tensor, dtypes.of(op.signature.inputs[i].is_wide)).contiguous();
        }
    }
    OperatorCall call(op);
    for (size_t i = 0; i < call.inputs.size(); i++) {
        if (arguments.tensors[i].defined()) {
            call.inputs[i] = view(arguments.tensors[i]);
        }
    }
    for (size_t i = 0; i < call.outputs.size(); i++) {
        if (i < count) {
            call.outputs[i] = view(outputs[i]);
        } else {
            call.outputs[i] = {
                nullptr, call.inputs[first].dtype, C10_AS_INTARRAYREF_SLOW(check.outputs()[i]).vec(), {}};
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
            call.options[i] = arguments.options[i].isNone() ? 0 : arguments.options[i].toDouble();
        } else if (kind == Kind::Text) {
            call.options[i] = arguments.options[i].toStringRef();
        } else if (kind == Kind::Fourier) {
            call.options[i] = torch_fourier(arguments.tensors[first]);
        }
    }
    on_queue(like, [&](const Queue *queue) {
        call.queue = queue;
        run(std::move(call));
    });
    for (size_t i = 0; i < count; i++) {
        outputs[i] = converted(outputs[i], seen[i]);
    }
    return outputs;
}

// Takes the arguments of a call off the stack and puts what f makes of them there.
template<class F> void replace(const Operator &op, Stack *stack, const F &f) {
    const size_t count = argument_count(op);
    const std::vector<Tensor> results = f(read_arguments(op, stack->data() + stack->size() - count));
    torch::jit::drop(*stack, count);
    stack->insert(stack->end(), results.begin(), results.end());
}

class Implementation : public c10::OperatorKernel {
public:
    Implementation(const Operator &op, bool with_kept) : op(op), count(with_kept ? op.outputs.size() : op.returned()) {}
    void operator()(const OperatorHandle &, c10::DispatchKeySet, Stack *stack) {
        replace(op, stack, [&](Arguments arguments) { return compute(op, std::move(arguments), count); });
    }

private:
    const Operator &op;
    const size_t count;
};

class Differentiable : public c10::OperatorKernel {
public:
    Differentiable(const Operator &op, bool with_kept) : op(op), with_kept(with_kept) {}
    void operator()(const OperatorHandle &handle, c10::DispatchKeySet keys, Stack *stack) {
        if (!is_differentiated(stack->data() + stack->size() - argument_count(op), op.inputs.size())) {
            const at::AutoDispatchBelowADInplaceOrView guard;
            handle.redispatchBoxed(keys & c10::after_ADInplaceOrView_keyset, stack);
            return;
        }
        replace(op, stack, [&](Arguments arguments) {
            // What is kept is of outputs before they are rounded.
            const Tensor &first = arguments.tensors[op.order[0]];
            if (!is_16_bit(first) || !keeps_outputs(op)) {
                return differentiable(op, arguments, with_kept);
            }
            check_tensors(op, arguments);
            const at::ScalarType narrow = first.scalar_type();
            for (Tensor &tensor : arguments.tensors) {
                tensor = tensor.defined() ? tensor.to(at::kFloat) : tensor;
            }
            std::vector<Tensor> outputs = differentiable(op, arguments, with_kept);
            for (Tensor &output : outputs) {
                output = output.to(narrow);
            }
            return outputs;
        });
    }

private:
    const Operator &op;
    const bool with_kept;
};

template<at::DeviceType device> class Autocast : public c10::OperatorKernel {
public:
    explicit Autocast(const Operator &op) : op(op) {}
    void operator()(const OperatorHandle &handle, c10::DispatchKeySet, Stack *stack) {
        const c10::impl::ExcludeDispatchKeyGuard below(c10::autocast_dispatch_keyset);
        const bool to_float = op.signature.autocast == Signature::Autocast::ToFloat;
        IValue *const first = stack->data() + stack->size() - argument_count(op);
        for (size_t i = 0; i < op.inputs.size(); i++) {
            const at::ScalarType type =
                to_float || op.signature.inputs[i].is_wide ? at::kFloat : at::autocast::get_autocast_dtype(device);
            if (!first[i].isNone()) {
                first[i] = at::autocast::cached_cast(type, first[i].toTensor(), device);
            }
        }
        handle.callBoxed(stack);
    }

private:
    const Operator &op;
};

const char *const and_weights = "_and_weights";

// The output, and the weights of its taps: [N, T, H, W], or [N, groups, T, H, W] of an operator that takes groups.
class WithWeights : public c10::OperatorKernel {
public:
    explicit WithWeights(const Operator &op) : op(op) {}
    void operator()(const OperatorHandle &, c10::DispatchKeySet, Stack *stack) {
        const size_t count = argument_count(op);
        Stack own(stack->end() - count, stack->end());
        const Tensor output = bridge::call(op.signature.name, std::move(own))[0];  // checks them
        replace(op, stack, [&](const Arguments &arguments) {
            const Tensor weights = tap_weights(op, arguments);
            return std::vector{output, window_operator(op.signature.name).has_groups ? weights : weights.squeeze(1)};
        });
    }

private:
    const Operator &op;
};

// Two operators, one after the other; with the weights of taps too.
class InTurn : public c10::OperatorKernel {
public:
    InTurn(const Operator &op, bool with_weights) : op(op), chain(*op.signature.chain), with_weights(with_weights) {}
    void operator()(const OperatorHandle &, c10::DispatchKeySet, Stack *stack) {
        replace(op, stack, [&](const Arguments &arguments) -> std::vector<Tensor> {
            const auto tensor = [&](const std::string &name) -> const Tensor & {
                return arguments.tensors[op.input(name)];
            };
            const Tensor &value = tensor(chain.value), &query = tensor(chain.query), &key = tensor(chain.key);
            check_dtypes(value, query, key);
            const Refusal refusal{op.signature.name};
            checked(op, arguments, refusal);
            std::vector<Tensor> factors{query, key};
            if (!chain.bias.empty()) {
                factors.push_back(tensor(chain.bias));
                check_bias(query, factors.back());
            }
            const Tensor scores = call(chain.scores, "", factors, arguments)[0];
            return call(chain.sum, with_weights ? and_weights : "", {value, scores}, arguments);
        });
    }

private:
    void check_dtypes(const Tensor &value, const Tensor &query, const Tensor &key) const {
        const std::string &name = op.signature.name;
        for (const auto &[argument, tensor] : {std::pair(chain.value, value), {chain.query, query}, {chain.key, key}}) {
            check_kind(name, argument, tensor);
        }
        check_alike(name, chain.key, key, chain.query, query);
        check_device(name, chain.value, value, chain.query, query);
        const at::ScalarType own = value.scalar_type(), other = query.scalar_type();
        TORCH_CHECK(own == other || (is_16_bit(value) && other == at::kFloat) ||
                        (is_16_bit(query) && own == at::kFloat),
                    name, ": ", chain.value, " should be ", other, " like ", chain.query,
                    ", or one of them float32 beside 16 bits, but is ", own);
    }

    void check_bias(const Tensor &query, const Tensor &bias) const {
        const std::string &name = op.signature.name;
        check_kind(name, chain.bias, bias);
        if (is_16_bit(query) && bias.scalar_type() == at::kFloat) {
            check_device(name, chain.bias, bias, chain.query, query);
        } else {
            check_alike(name, chain.bias, bias, chain.query, query);
        }
    }

    // With the options of the whole that it takes.
    std::vector<Tensor> call(const std::string &part, const std::string &suffix, const std::vector<Tensor> &tensors,
                             const Arguments &arguments) const {
        Stack stack(tensors.begin(), tensors.end());
        for (const OptionArgument &option : find_operator(part)->signature.options) {
            stack.push_back(arguments.options[op.option(option.name)]);
        }
        return bridge::call(part + suffix, std::move(stack));
    }

    const Operator &op;
    const Chain &chain;
    const bool with_weights;
};

void define_with_weights(const Operator &op) {
    std::string text = schema(op, false);
    text.insert(op.signature.name.size(), and_weights);
    define(text.substr(0, text.rfind(" -> ")) + " -> (Tensor, Tensor)");
}

// Made of operators, of which every transform sees those alone.
template<class Functor, class... Arguments>
void implement_composite(const std::string &name, const Arguments &...arguments) {
    for (const DispatchKey key : {DispatchKey::CompositeImplicitAutograd, DispatchKey::FuncTorchBatched}) {
        implement<Functor>(key, name, arguments...);
    }
}

// The implementations of one operator in torch.
void add(const Operator &op, const std::string &name, bool with_kept) {
    define(schema(op, with_kept));
    for (const DispatchKey key : {DispatchKey::CPU, DispatchKey::CUDA, DispatchKey::Meta}) {
        implement<Implementation>(key, name, op, with_kept);
    }
    implement<Differentiable>(DispatchKey::Autograd, name, op, with_kept);
    implement<Batched>(DispatchKey::FuncTorchBatched, name, op, with_kept);
}

void add(const Operator &op) {
    const std::string &name = op.signature.name;
    if (op.signature.chain) {
        define(schema(op, false));
        implement_composite<InTurn>(name, op, false);
        define_with_weights(op);
        implement_composite<InTurn>(name + and_weights, op, true);
        return;
    }
    add(op, name, false);
    if (op.signature.has_tap_weights) {
        define_with_weights(op);
        implement_composite<WithWeights>(name + and_weights, op);
    }
    if (op.outputs.size() > op.returned()) {
        add(op, name + "_forward", true);
    }
    if (op.signature.autocast != Signature::Autocast::None) {
        implement<Autocast<at::kCPU>>(DispatchKey::AutocastCPU, name, op);
        implement<Autocast<at::kCUDA>>(DispatchKey::AutocastCUDA, name, op);
    }
}

const bool added = [] {
    for_each_operator([](const Operator &op) { add(op); });
    return true;
}();

}  // namespace
}  // namespace upwell::bridge
