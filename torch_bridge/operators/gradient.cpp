#include "gradient.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

namespace upwell::bridge {

std::vector<Tensor> call(const std::string &name, torch::jit::Stack stack) {
    c10::Dispatcher::singleton().findSchemaOrThrow(("upwell::" + name).c_str(), "").callBoxed(stack);
    std::vector<Tensor> results;
    for (const at::IValue &result : stack) {
        results.push_back(result.toTensor());
    }
    return results;
}

namespace {

using at::IValue;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using torch::jit::Stack;
using Kind = OptionArgument::Kind;
using Rule = Gradient::Rule;

// On a stack; undefined: not given.
IValue value_of(const Tensor &tensor) {
    return tensor.defined() ? IValue(tensor) : IValue();
}

// Where the argument of an operator that makes a gradient comes from.
struct Source {
    enum { Gradient, Input, Output, Nothing } from;
    int number = -1;
};

Source source_of(const Operator &op, const Gradient &gradient, const std::string &argument) {
    std::string name = argument;
    for (const auto &[theirs, ours] : gradient.given) {
        if (theirs == argument) {
            name = ours;
        }
    }
    for (size_t i = 0; i < op.returned(); i++) {
        if (name == "d_" + op.signature.outputs[i].name) {
            return {Source::Gradient, static_cast<int>(i)};
        }
    }
    if (const int input = op.input(name); input >= 0) {
        return {Source::Input, input};
    }
    if (const int output = op.output(name); output >= 0) {
        return {Source::Output, output};
    }
    return {Source::Nothing};
}

// What makes the gradients of an operator's inputs, and what of a call that takes.
struct Plan {
    struct Call {
        const Operator *maker = nullptr;  // null: the gradient is not made by an operator
        std::vector<Source> tensors;      // for each of its inputs
        std::vector<int> options;         // for each of its options the number of one of the call's, or -1: a size
    };
    // A number that is kept: the size of an input, or, where no tensor has it, what the call says.
    struct Size {
        std::string name;
        int input = -1, dimension = -1;
    };
    std::vector<Call> calls;  // for each gradient of the signature
    std::vector<Size> sizes;

    explicit Plan(const Operator &op) {
        for (const Gradient &gradient : op.signature.gradients) {
            Call &call = calls.emplace_back();
            if (gradient.rule == Rule::Call) {
                call.maker = find_operator(gradient.op);
                for (const TensorArgument &argument : call.maker->signature.inputs) {
                    call.tensors.push_back(source_of(op, gradient, argument.name));
                }
                for (const OptionArgument &option : call.maker->signature.options) {
                    const int own = op.option(option.name);
                    call.options.push_back(own >= 0 && op.signature.options[own].parts == option.parts ? own : -1);
                    if (call.options.back() >= 0) {
                        continue;
                    }
                    const bool is_list = option.kind == Kind::Sizes;
                    for (const std::string &name : is_list ? option.parts : std::vector{option.name}) {
                        sizes.push_back(size_of(op, name));
                    }
                }
            } else if (gradient.rule != Rule::Same) {
                for (const Formula &formula : op.inputs[op.input(gradient.of[0])]) {
                    sizes.push_back(size_of(op, op.symbols.name(formula.symbol())));
                }
            }
        }
    }

    static Size size_of(const Operator &op, const std::string &name) {
        for (const int input : op.order) {
            for (size_t d = 0; d < op.inputs[input].size() && !op.signature.inputs[input].is_optional; d++) {
                const int symbol = op.inputs[input][d].symbol();
                if (symbol >= 0 && op.symbols.name(symbol) == name) {
                    return {name, input, static_cast<int>(d)};
                }
            }
        }
        return {name};
    }

    // Made at its first use: what makes gradients may be added after the operator.
    static const Plan &of(const Operator &op) {
        static std::mutex &mutex = *new std::mutex;
        static auto &all = *new std::unordered_map<const Operator *, Plan>;
        const std::lock_guard lock(mutex);
        return all.try_emplace(&op, op).first->second;
    }
};

// What is kept of a call for its gradients.
class Kept {
public:
    static void save(AutogradContext *context, const Operator &op, const Arguments &arguments,
                     const variable_list &outputs) {
        const Plan &plan = Plan::of(op);
        variable_list saved(op.inputs.size() + op.outputs.size());
        for (size_t i = 0; i < plan.calls.size(); i++) {
            const std::vector<std::string> &of = op.signature.gradients[i].of;
            if (!std::any_of(of.begin(), of.end(), [&](const std::string &name) {
                    const Tensor &input = arguments.tensors[op.input(name)];
                    return input.defined() && input.requires_grad();
                })) {
                continue;
            }
            for (const Source &source : plan.calls[i].tensors) {
                if (source.from == Source::Input) {
                    saved[source.number] = arguments.tensors[source.number];
                } else if (source.from == Source::Output) {
                    saved[op.inputs.size() + source.number] = outputs[source.number];
                }
            }
        }
        context->save_for_backward(std::move(saved));
        auto &data = context->saved_data;
        data["operator"] = op.signature.name;
        std::vector<int64_t> given;
        for (const Tensor &tensor : arguments.tensors) {
            given.push_back(tensor.defined());
        }
        data["given"] = std::move(given);
        data["options"] = c10::ivalue::Tuple::create(arguments.options);
        if (!plan.sizes.empty()) {
            Sizes sizes;
            std::optional<Check> check;
            const Refusal refusal{op.signature.name};
            for (const Plan::Size &size : plan.sizes) {
                if (size.input >= 0) {
                    sizes.push_back(arguments.tensors[size.input].sym_size(size.dimension));
                    continue;
                }
                if (!check) {
                    check.emplace(checked(op, arguments, refusal));
                }
                sizes.push_back(*check->value(size.name));
            }
            data["sizes"] = c10::SymIntArrayRef(sizes);
        }
    }

    Kept(AutogradContext *context, const variable_list &gradients)
        : op(*find_operator(context->saved_data["operator"].toStringRef())), plan_(Plan::of(op)),
          data_(context->saved_data), given_(data_["given"].toIntVector()), saved_(context->get_saved_variables()),
          gradients_(gradients) {
        for (size_t i = 0, number = 0; i < given_.size(); i++) {
            needed_.push_back(given_[i] && context->needs_input_grad(number));
            number += given_[i];
        }
    }

    const Operator &op;

    bool is_given(int input) const { return given_[input]; }
    bool is_needed(const Gradient &gradient) const {
        return std::any_of(gradient.of.begin(), gradient.of.end(),
                           [&](const std::string &name) { return needed_[op.input(name)]; });
    }

    // What the operator that makes a gradient, given by its number, makes.
    variable_list call(size_t number) {
        const Plan::Call &call = plan_.calls[number];
        Stack stack;
        for (const Source &source : call.tensors) {
            if (source.from == Source::Nothing) {
                stack.emplace_back();
            } else if (source.from == Source::Gradient) {
                stack.emplace_back(gradients_[source.number]);
            } else {
                stack.push_back(
                    value_of(saved_[source.number + (source.from == Source::Output ? op.inputs.size() : 0)]));
            }
        }
        const auto own = data_["options"].toTuple();
        for (size_t i = 0; i < call.options.size(); i++) {
            const OptionArgument &option = call.maker->signature.options[i];
            if (option.kind == Kind::Fourier) {
                continue;
            }
            if (call.options[i] >= 0) {
                stack.push_back(own->elements()[call.options[i]]);
            } else if (option.kind == Kind::Sizes) {
                Sizes parts;
                for (const std::string &part : option.parts) {
                    parts.push_back(size(part));
                }
                stack.emplace_back(c10::SymIntArrayRef(parts));
            } else {
                stack.emplace_back(size(option.name));
            }
        }
        return bridge::call(call.maker->signature.name, std::move(stack));
    }

    // The centre of a map, of the input's last two sizes.
    Tensor centre(const Tensor &map, int input) {
        Tensor result = map;
        for (const int d : {2, 3}) {
            const c10::SymInt length = size(op.symbols.name(op.inputs[input][d].symbol()));
            result = result.narrow_symint(d, (map.sym_size(d) - length) / 2, length);
        }
        return result;
    }

    // A value for each channel as a map of the input's sizes.
    Tensor spread(const Tensor &values, int input) {
        Sizes sizes;
        for (const Formula &formula : op.inputs[input]) {
            sizes.push_back(size(op.symbols.name(formula.symbol())));
        }
        return values.view({-1, 1, 1}).expand_symint(sizes);
    }

private:
    c10::SymInt size(const std::string &name) {
        const auto at = std::find_if(plan_.sizes.begin(), plan_.sizes.end(),
                                     [&](const Plan::Size &each) { return each.name == name; });
        return data_["sizes"].toSymIntVector()[at - plan_.sizes.begin()];
    }

    const Plan &plan_;
    ska::flat_hash_map<std::string, IValue> &data_;
    const std::vector<int64_t> given_;
    const variable_list saved_;
    const variable_list &gradients_;
    std::vector<bool> needed_;
};

class Derivative : public torch::autograd::Function<Derivative> {
public:
    static constexpr bool is_traceable = true;

    // The list: those tensors of the arguments that are given, for autograd to find.
    static variable_list forward(AutogradContext *context, const Operator *op, at::TensorList,
                                 const Arguments &arguments) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        Stack stack;
        for (const Tensor &tensor : arguments.tensors) {
            stack.push_back(value_of(tensor));
        }
        for (size_t i = 0; i < arguments.options.size(); i++) {
            if (op->signature.options[i].kind != Kind::Fourier) {
                stack.push_back(arguments.options[i]);
            }
        }
        const bool has_kept = op->outputs.size() > op->returned();
        variable_list outputs = bridge::call(op->signature.name + (has_kept ? "_forward" : ""), std::move(stack));
        Kept::save(context, *op, arguments, outputs);
        outputs.resize(op->returned());
        return outputs;
    }

    // gradients: of every output; torch makes zeros where nothing asked for one.
    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        Kept kept(context, gradients);
        const Operator &op = kept.op;
        variable_list of_inputs(op.inputs.size());
        for (size_t number = 0; number < op.signature.gradients.size(); number++) {
            const Gradient &gradient = op.signature.gradients[number];
            if (!kept.is_needed(gradient)) {
                continue;
            }
            const int input = op.input(gradient.of[0]);
            switch (gradient.rule) {
            case Rule::Call: {
                const variable_list made = kept.call(number);
                for (size_t i = 0; i < made.size(); i++) {
                    of_inputs[op.input(gradient.of[i])] = made[i];
                }
                break;
            }
            case Rule::Same:
                of_inputs[input] = gradients[0];
                break;
            case Rule::Centre:
                of_inputs[input] = kept.centre(gradients[0], input);
                break;
            case Rule::Spread:
                of_inputs[input] = kept.spread(gradients[0], input);
                break;
            }
        }
        variable_list result(1);  // the operator
        for (size_t i = 0; i < of_inputs.size(); i++) {
            if (kept.is_given(static_cast<int>(i))) {
                result.push_back(of_inputs[i]);
            }
        }
        result.emplace_back();  // the arguments
        return result;
    }
};

}  // namespace

bool keeps_outputs(const Operator &op) {
    const std::vector<Plan::Call> &calls = Plan::of(op).calls;
    return std::any_of(calls.begin(), calls.end(), [](const Plan::Call &call) {
        return std::any_of(call.tensors.begin(), call.tensors.end(),
                           [](const Source &source) { return source.from == Source::Output; });
    });
}

std::vector<Tensor> differentiable(const Operator &op, const Arguments &arguments) {
    std::vector<Tensor> given;
    for (const Tensor &tensor : arguments.tensors) {
        if (tensor.defined()) {
            given.push_back(tensor);
        }
    }
    return Derivative::apply(&op, at::TensorList(given), arguments);
}

}  // namespace upwell::bridge
