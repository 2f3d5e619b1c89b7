// The operators that follow from descriptions, in torch: schema, kernels, gradients and autocast, all from what the
// runtime knows of an operator.
#include <cmath>
#include <map>

#include <ATen/autocast_mode.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "../in_float.h"
#include "../kernel.h"
#include "../queue.h"
#include "../torch_threads.h"
#include "runtime/operators.h"

namespace upwell::bridge {
namespace {

using at::IValue;
using c10::DispatchKey;
using c10::OperatorHandle;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using torch::jit::Stack;

// ---- Arguments.

// What an operator takes behind its tensors, in the order of its schema.
struct Options {
    std::vector<c10::SymInt> size;  // of the map that is made, where no tensor has it
    int64_t kernel = 1, groups = 1;
    std::string border;
    std::optional<int64_t> mask_ratio;
    std::optional<double> scale_h, scale_w;
};

// Whether the size of what is made is an argument: of a low-res map, and of a high-res one without weights.
bool has_size(const Operator &op) {
    return op.direction == Direction::DValue || !op.has_weights();
}

std::string option_schema(const Operator &op) {
    return std::string(op.has_kernel ? ", int kernel" : "") + (op.has_groups ? ", int groups=1" : "") +
           (op.has_border() ? ", str border=\"" + op.choices.front().border + "\"" : "") +
           (op.has_mask_ratio ? ", int? mask_ratio=None" : "") +
           (op.has_weights() ? "" : ", float? scale_h=None, float? scale_w=None");
}

std::string schema(const std::string &name, const std::vector<std::string> &tensors, const std::string &options) {
    std::string list;
    for (const std::string &tensor : tensors) {
        list += (list.empty() ? "Tensor " : ", Tensor ") + tensor;
    }
    return name + "(" + list + options + ") -> Tensor";
}

std::string schema(const Operator &op) {
    const char *const size = !has_size(op) ? "" : op.has_weights() ? ", SymInt h, SymInt w" : ", SymInt[2] size";
    return schema(op.name, op.inputs, size + option_schema(op));
}

void push_options(Stack &stack, const Operator &op, const Options &options) {
    if (has_size(op) && op.has_weights()) {
        stack.emplace_back(options.size[0]);
        stack.emplace_back(options.size[1]);
    } else if (has_size(op)) {
        stack.emplace_back(c10::SymIntArrayRef(options.size));
    }
    if (op.has_kernel) {
        stack.emplace_back(options.kernel);
    }
    if (op.has_groups) {
        stack.emplace_back(options.groups);
    }
    if (op.has_border()) {
        stack.emplace_back(options.border);
    }
    if (op.has_mask_ratio) {
        stack.emplace_back(options.mask_ratio);
    }
    if (!op.has_weights()) {
        stack.emplace_back(options.scale_h);
        stack.emplace_back(options.scale_w);
    }
}

// first: the first argument behind the tensors.
Options read_options(const Operator &op, const IValue *next) {
    Options options;
    if (has_size(op) && op.has_weights()) {
        options.size = {(next++)->toSymInt(), (next++)->toSymInt()};
    } else if (has_size(op)) {
        options.size = (next++)->toSymIntVector();
    }
    if (op.has_kernel) {
        options.kernel = (next++)->toInt();
    }
    if (op.has_groups) {
        options.groups = (next++)->toInt();
    }
    if (op.has_border()) {
        options.border = (next++)->toStringRef();
    }
    if (op.has_mask_ratio) {
        options.mask_ratio = (next++)->toOptional<int64_t>();
    }
    if (!op.has_weights()) {
        options.scale_h = (next++)->toOptional<double>();
        options.scale_w = (next++)->toOptional<double>();
    }
    return options;
}

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
    Options options;
};

Parameters parameters_of(const Operator &op, const Options &options) {
    Parameters parameters;
    parameters.kernel = options.kernel;
    parameters.groups = options.groups;
    parameters.mask_ratio = options.mask_ratio.value_or(0);
    parameters.scale = {options.scale_h.value_or(0), options.scale_w.value_or(0)};
    if (op.has_border()) {
        parameters.border = border_of(op, options.border);
    }
    return parameters;
}

// Where a role's tensor is among the inputs; -1: the operator does not take it.
struct Roles {
    explicit Roles(const Operator &op) {
        int next = 0;
        for (const auto &[name, at] : {std::pair{&op.d_output, &d_output}, {&op.value, &value}, {&op.weights, &weights}}) {
            *at = name->empty() ? -1 : next++;
        }
    }
    int d_output, value, weights;
};

// ---- The kernel of CPU, CUDA and Meta tensors.

void check_kernel_and_groups(const std::string &name, const Operator &op, const Options &options,
                             const c10::SymInt &channels) {
    const std::vector<int64_t> &built = sides_of(op);
    const int64_t kernel = options.kernel, groups = options.groups;
    TORCH_CHECK(std::find(built.begin(), built.end(), kernel) != built.end(), name, ": kernel should be one of ",
                c10::IntArrayRef(built), " (those that were built) but is ", kernel);
    TORCH_CHECK(groups >= 1 && groups <= INT32_MAX, name, ": groups should be in 1 .. 2147483647 but is ", groups);
    TORCH_SYM_CHECK((channels % groups).sym_eq(0), name, ": groups should divide the ", channels, " channels but is ",
                    groups);
}

void check_options(const Operator &op, const Options &options, const c10::SymInt &channels) {
    check_kernel_and_groups(op.name, op, options, channels);
    TORCH_CHECK(!options.mask_ratio || *options.mask_ratio >= 1, op.name, ": mask_ratio should be at least 1 but is ",
                *options.mask_ratio);
    for (const auto &[axis, scale] : {std::pair{"scale_h", options.scale_h}, {"scale_w", options.scale_w}}) {
        TORCH_CHECK(!scale || (*scale > 0 && std::isfinite(*scale)), op.name, ": ", axis,
                    " should be positive and finite but is ", *scale);
    }
    if (has_size(op)) {
        check_size(op.name, op.has_weights() ? "h, w" : "size", options.size);
    }
}

// The sizes of what is made, once all that is taken fits.
Sizes check_inputs(const Operator &op, const std::vector<Tensor> &inputs, const Options &options) {
    const Roles roles(op);
    std::vector<Sizes> sizes;
    sizes.reserve(inputs.size());
    const std::vector<std::string> &names = op.inputs;
    for (size_t i = 0; i < inputs.size(); i++) {
        sizes.push_back(check_map(op.name, names[i], inputs[i]));
    }
    for (size_t i = 1; i < inputs.size(); i++) {
        // Weights may be float32 beside maps of 16 bits.
        if (static_cast<int>(i) == roles.weights && is_16_bit(inputs[0]) && inputs[i].scalar_type() == at::kFloat) {
            check_device(op.name, names[i], inputs[i], names[0], inputs[0]);
        } else {
            check_alike(op.name, names[i], inputs[i], names[0], inputs[0]);
        }
    }
    const Sizes &first = sizes[0];
    check_options(op, options, first[1]);
    if (roles.value > 0) {
        const Sizes &low = sizes[roles.value];
        check_sizes(op.name, op.value, low, {first[0], first[1], low[2], low[3]});
    }
    const Sizes &high = roles.d_output >= 0 ? sizes[roles.d_output]
                        : roles.weights >= 0 ? sizes[roles.weights]
                                             : options.size;
    const c10::SymInt &H = high[high.size() - 2], &W = high[high.size() - 1];
    const Sizes weights{first[0], options.groups * options.kernel * options.kernel, H, W};
    if (roles.weights >= 0) {
        check_sizes(op.name, op.weights, sizes[roles.weights], weights);
    }
    switch (op.direction) {
    case Direction::Forward:
        return {first[0], first[1], H, W};
    case Direction::DValue:
        return {first[0], first[1], options.size[0], options.size[1]};
    case Direction::DWeight:
        return weights;
    }
    return {};
}

// to() asks the dispatcher even where there is nothing to do.
Tensor converted(const Tensor &tensor, at::ScalarType type) {
    return tensor.scalar_type() == type ? tensor : tensor.to(type);
}

// Kernels for the CPU have float32 in place of 16 bits.
Tensor compute(const Operator &op, const std::vector<Tensor> &inputs, const Options &options) {
    const Sizes sizes = check_inputs(op, inputs, options);
    const Parameters parameters = parameters_of(op, options);
    check_elements(op.name, op.output, sizes);
    const Roles roles(op);
    const Tensor &like = inputs[0];
    const at::ScalarType map = like.scalar_type(), wide = is_16_bit(like) ? at::kFloat : map,
                         stored = is_16_bit(like) && !runs_on_gpu(like) ? at::kFloat : map;
    const bool makes_weights = op.direction == Direction::DWeight;
    const at::ScalarType made = !makes_weights       ? map
                                : roles.weights >= 0 ? inputs[roles.weights].scalar_type()
                                                     : wide;
    if (like.is_meta()) {
        return at::empty_symint(sizes, like.options().dtype(made));
    }
    std::vector<Tensor> kept;  // until the kernel has run
    std::vector<upwell::Tensor> views;
    kept.reserve(inputs.size());
    views.reserve(inputs.size());
    for (size_t i = 0; i < inputs.size(); i++) {
        kept.push_back(converted(inputs[i], static_cast<int>(i) == roles.weights ? wide : stored).contiguous());
        views.push_back(view(kept.back()));
    }
    const Tensor output = at::empty_symint(sizes, like.options().dtype(makes_weights ? wide : stored));
    if (like.sym_size(1) == 0) {  // a sum over no channels
        return converted(output.zero_(), made);
    }
    run_on_torch_threads();
    const CallQueue queue(like);
    const upwell::Tensor out = view(output);
    run(window_call(op, parameters, views, out), queue.get());
    return converted(output, made);
}

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

// ---- Gradients. T(weights, value, d_output) is linear in each, a softmax of weights aside: of whichever is made, the
// gradient by another is the direction that makes that other one, the incoming gradient in the place of the first.

Tensor call(const Operator &op, const std::vector<Tensor> &tensors, const Options &options) {
    Stack stack(tensors.begin(), tensors.end());
    push_options(stack, op, options);
    c10::Dispatcher::singleton().findSchemaOrThrow(("upwell::" + op.name).c_str(), "").callBoxed(stack);
    return stack[0].toTensor();
}

void save_options(AutogradContext *context, const Options &options) {
    auto &data = context->saved_data;
    data["kernel"] = options.kernel;
    data["groups"] = options.groups;
    data["border"] = options.border;
    data["mask_ratio"] = options.mask_ratio;
    data["scale_h"] = options.scale_h;
    data["scale_w"] = options.scale_w;
}

Options saved_options(AutogradContext *context) {
    auto &data = context->saved_data;
    Options options;
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
    static Tensor forward(AutogradContext *context, const Operator *op, at::TensorList inputs, const Options &options) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        Tensor output = call(*op, inputs.vec(), options);
        const Roles roles(*op);
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
        const Roles roles(op);
        const auto tensor_of = [&](int at) { return at < 0 ? Tensor() : saved[at]; };
        std::array<Tensor, 3> by_direction{tensor_of(roles.d_output), tensor_of(roles.value), tensor_of(roles.weights)};
        by_direction[static_cast<int>(op.direction)] = gradients[0];
        Options options = saved_options(context);
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

bool is_differentiated(const IValue *first, size_t count) {
    return std::any_of(first, first + count, [](const IValue &argument) {
        const Tensor &tensor = argument.toTensor();
        return (tensor.requires_grad() && at::GradMode::is_enabled()) || tensor._fw_grad(0).defined();
    });
}

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
        const Tensor output = Derivative::apply(&op, at::TensorList(arguments.tensors), arguments.options);
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
        const int weights = Roles(op).weights;
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
        const Options options = read_options(*chain.sum, first + chain.inputs.size());
        check(first, options);
        const auto &[value, query, key] = chain.parts;
        const Tensor scores = call(*chain.scores, {first[query].toTensor(), first[key].toTensor()}, options);
        const Tensor output = call(*chain.sum, {first[value].toTensor(), scores}, options);
        torch::jit::drop(*stack, count);
        stack->emplace_back(output);
    }

private:
    // In the names of this operator: the two have some of their own.
    void check(const IValue *first, const Options &options) const {
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

// ---- Registration. Never undone: operators stay for as long as the process lives.

torch::Library &library(DispatchKey key) {
    static auto &all = *new std::map<DispatchKey, torch::Library>;
    if (const auto found = all.find(key); found != all.end()) {
        return found->second;
    }
    const bool defines = key == DispatchKey::Undefined;
    return all
        .emplace(std::piecewise_construct, std::forward_as_tuple(key),
                 std::forward_as_tuple(defines ? torch::Library::FRAGMENT : torch::Library::IMPL, "upwell",
                                       defines ? std::nullopt : std::make_optional(key), __FILE__, __LINE__))
        .first->second;
}

template<class Functor, class... Arguments> void implement(DispatchKey key, const std::string &name, Arguments &...arguments) {
    library(key).impl(name.c_str(),
                      torch::CppFunction::makeFromBoxedFunctor(std::make_unique<Functor>(arguments...)));
}

void add(const Operator &op) {
    library(DispatchKey::Undefined).def(schema(op).c_str());
    for (const DispatchKey key : {DispatchKey::CPU, DispatchKey::CUDA, DispatchKey::Meta}) {
        implement<Kernel>(key, op.name, op);
    }
    if (op.direction == Direction::DWeight && op.normaliser == Normaliser::Softmax) {
        library(DispatchKey::Autograd).impl(op.name.c_str(), torch::autograd::autogradNotImplementedFallback());
    } else {
        implement<Differentiable>(DispatchKey::Autograd, op.name, op);
    }
    if (op.has_weights() && !op.is_derivative) {
        implement<Autocast<at::kCPU>>(DispatchKey::AutocastCPU, op.name, op);
        implement<Autocast<at::kCUDA>>(DispatchKey::AutocastCUDA, op.name, op);
    }
}

void add(const Chain &chain) {
    library(DispatchKey::Undefined).def(schema(chain.name, chain.inputs, option_schema(*chain.sum)).c_str());
    implement<InTurn>(DispatchKey::CompositeImplicitAutograd, chain.name, chain);
}

const bool added = [] {
    for_each_operator_and_chain(
        {[](const Operator &op) { add(op); }, [](const Chain &chain) { add(chain); }});
    return true;
}();

}  // namespace

Tensor resample(const std::string &name, const Tensor &input, at::IntArrayRef size) {
    Options options;
    options.size = c10::fromIntArrayRefSlow(size).vec();
    return compute(find_operator(name), {input}, options);
}

}  // namespace upwell::bridge
