#include "gradient.h"

#include <algorithm>

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "../in_float.h"
#include "../second.h"
#include "../spectrum.h"
#include "kept.h"
#include "node.h"
#include "registration.h"

namespace upwell::bridge {

std::vector<Tensor> call(const std::string &name, torch::jit::Stack stack) {
    c10::Dispatcher::singleton().findSchemaOrThrow(("upwell::" + name).c_str(), "").callBoxed(stack);
    std::vector<Tensor> results;
    for (const at::IValue &result : stack) {
        results.push_back(result.toTensor());
    }
    return results;
}

torch::jit::Stack stack_of(const Operator &op, const Arguments &arguments) {
    torch::jit::Stack stack;
    for (const Tensor &tensor : arguments.tensors) {
        stack.push_back(tensor.defined() ? at::IValue(tensor) : at::IValue());
    }
    for (size_t i = 0; i < arguments.options.size(); i++) {
        if (op.signature.options[i].kind != OptionArgument::Kind::Fourier) {
            stack.push_back(arguments.options[i]);
        }
    }
    return stack;
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using torch::jit::Stack;
using Rule = Gradient::Rule;

// The centre of a map, of the input's last two sizes.
Tensor centre(const Kept &kept, const Tensor &map, int input) {
    Tensor result = map;
    for (const int d : {2, 3}) {
        const c10::SymInt length = kept.size(kept.op.symbols.name(kept.op.inputs[input][d].symbol()));
        result = result.narrow_symint(d, (map.sym_size(d) - length) / 2, length);
    }
    return result;
}

// A value for each channel as a map of the input's sizes.
Tensor spread(const Kept &kept, const Tensor &values, int input) {
    Sizes sizes;
    for (const Formula &formula : kept.op.inputs[input]) {
        sizes.push_back(kept.size(kept.op.symbols.name(formula.symbol())));
    }
    return values.view({-1, 1, 1}).expand_symint(sizes);
}

// Of each input, of those of every output; undefined where it is not needed.
variable_list gradients_of(const Kept &kept, const variable_list &gradients) {
    const Operator &op = kept.op;
    if (op.signature.gradients.empty()) {
        const Arguments arguments{variable_list(kept.tensors.begin(), kept.tensors.begin() + op.inputs.size()),
                                  kept.options};
        return second_gradients(op, arguments, gradients, kept.needed);
    }
    variable_list of_inputs(op.inputs.size());
    const int map = spectrum_source(op);
    const bool is_of_spectrum_alone = map >= 0 && !gradients[0].defined();
    for (size_t number = 0; number < op.signature.gradients.size(); number++) {
        const Gradient &gradient = op.signature.gradients[number];
        if (!kept.is_needed(gradient) || is_of_spectrum_alone) {
            continue;
        }
        const int input = op.input(gradient.of[0]);
        switch (gradient.rule) {
        case Rule::Call: {
            const Operator &maker = *kept.plan.calls[number].maker;
            const variable_list made =
                call(maker.signature.name, stack_of(maker, kept.arguments_of(number, gradients)));
            for (size_t i = 0; i < made.size(); i++) {
                of_inputs[op.input(gradient.of[i])] = made[i];
            }
            break;
        }
        case Rule::Same:
            of_inputs[input] = gradients[0];
            break;
        case Rule::Centre:
            of_inputs[input] = centre(kept, gradients[0], input);
            break;
        case Rule::Spread:
            of_inputs[input] = spread(kept, gradients[0], input);
            break;
        }
    }
    if (map >= 0 && kept.needed[map] && gradients.size() > op.returned() && gradients.back().defined()) {
        const c10::SymInt columns = kept.tensors[op.input("precision")].sym_size(3);
        const Tensor through = half_spectrum_transposed(gradients.back(), columns);
        of_inputs[map] = of_inputs[map].defined() ? sum(of_inputs[map], through) : through;
    }
    return of_inputs;
}

// Of a gradient that no signature says how to differentiate: what it makes of the gradients is linear in them, and this
// is the transpose of that.
variable_list transposed_tangents(const Kept &kept, const variable_list &outputs, const variable_list &changes) {
    const bool is_differentiated = at::GradMode::is_enabled();
    const at::AutoGradMode record(true);
    variable_list seeds;
    for (const Tensor &output : outputs) {
        seeds.push_back(at::zeros_like(output).set_requires_grad(true));
    }
    const variable_list gradients = gradients_of(kept, seeds);
    variable_list made, of_made;
    for (size_t i = 0; i < gradients.size(); i++) {
        if (gradients[i].defined() && gradients[i].requires_grad() && changes[i].defined()) {
            made.push_back(gradients[i]);
            of_made.push_back(changes[i]);
        }
    }
    return made.empty() ? variable_list(outputs.size())
                        : torch::autograd::grad(made, seeds, of_made, is_differentiated, is_differentiated, true);
}

// How outputs change with the inputs, which change by `changes` (undefined: not).
variable_list tangents_of(const Kept &kept, const variable_list &inputs, const variable_list &outputs,
                          const variable_list &changes) {
    const Operator &op = kept.op;
    if (op.signature.gradients.empty()) {
        return transposed_tangents(kept, outputs, changes);
    }
    variable_list result(outputs.size());
    for (size_t number = 0; number < op.signature.gradients.size(); number++) {
        const Gradient &gradient = op.signature.gradients[number];
        if (!kept.is_needed(gradient)) {
            continue;
        }
        if (gradient.rule != Rule::Call) {  // it is linear in all that it takes
            Arguments arguments{{}, kept.options};
            for (size_t i = 0; i < op.inputs.size(); i++) {
                arguments.tensors.push_back(changes[i].defined() ? changes[i] : at::zeros_like(inputs[i]));
            }
            return call(op.signature.name, stack_of(op, arguments));
        }
        // What makes the gradient is linear in that of the output: its own gradient by that is the transpose. Of the
        // output's gradient only the sizes matter.
        const Plan::Call &plan = kept.plan.calls[number];
        const Arguments arguments = kept.arguments_of(number, outputs);
        std::vector<bool> by_gradients;
        for (const Source &source : plan.tensors) {
            by_gradients.push_back(source.from == Source::Gradient);
        }
        variable_list made;
        for (const std::string &name : gradient.of) {
            made.push_back(changes[op.input(name)]);
        }
        const variable_list parts = gradients_of(Kept(*plan.maker, arguments, {}, by_gradients), made);
        for (size_t i = 0; i < parts.size(); i++) {
            if (parts[i].defined() && by_gradients[i]) {
                Tensor &whole = result[plan.tensors[i].number];
                whole = whole.defined() ? sum(whole, parts[i]) : parts[i];
            }
        }
    }
    for (size_t i = 0; i < result.size(); i++) {
        result[i] = result[i].defined() ? converted(result[i], outputs[i].scalar_type()) : result[i];
    }
    return result;
}

// Its node in the graph, as torch::autograd::Function has one.
struct Derivative {
    static constexpr bool is_traceable = true;

    // gradients: of every output; torch makes zeros where nothing asked for one, unless a spectrum is among them.
    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        const Kept kept(context);
        const variable_list of_inputs = gradients_of(kept, gradients);
        variable_list result;
        for (size_t i = 0; i < of_inputs.size(); i++) {
            if (kept.given[i]) {
                result.push_back(of_inputs[i]);
            }
        }
        return result;
    }
};

// The outputs, and a spectrum as it follows from its map, for transforms around this one.
variable_list following_outputs(const Operator &op, const Arguments &inputs, const variable_list &outputs) {
    variable_list result = outputs;
    if (const int map = spectrum_source(op); map >= 0) {
        result.back() = half_spectrum(inputs.tensors[map]);
    }
    return result;
}

// The operator itself, with what is kept for gradients if it has that.
variable_list outputs_of(const Operator &op, const Arguments &arguments) {
    const at::AutoDispatchBelowADInplaceOrView below;
    return call(op.signature.name + (op.outputs.size() > op.returned() ? "_forward" : ""), stack_of(op, arguments));
}

}  // namespace

bool keeps_outputs(const Operator &op) {
    const std::vector<Plan::Call> &calls = Plan::of(op).calls;
    return std::any_of(calls.begin(), calls.end(), [](const Plan::Call &call) {
        return std::any_of(call.tensors.begin(), call.tensors.end(),
                           [](const Source &source) { return source.from == Source::Output; });
    });
}

std::vector<Tensor> differentiable(const Operator &op, const Arguments &arguments, bool with_kept) {
    variable_list given;
    for (const Tensor &tensor : arguments.tensors) {
        if (tensor.defined()) {
            given.push_back(tensor);
        }
    }
    const bool is_recorded =
        at::GradMode::is_enabled() &&
        std::any_of(given.begin(), given.end(), [](const Tensor &tensor) { return tensor.requires_grad(); });
    const variable_list outputs = outputs_of(op, arguments);
    const auto returned = outputs.begin() + op.returned();
    const int map = spectrum_source(op);
    const at::IValue source = map >= 0 ? at::IValue(arguments.tensors[map]) : at::IValue();
    const bool follows = (with_kept || is_recorded) && is_differentiated(&source, 1);  // a spectrum is a result too
    const size_t count = with_kept || follows ? op.outputs.size() : op.returned();
    const auto save = [&](AutogradContext *context) {
        if (is_recorded) {
            std::vector<bool> needed;
            for (const Tensor &tensor : arguments.tensors) {
                needed.push_back(tensor.defined() && tensor.requires_grad());
            }
            Kept(op, arguments, outputs, std::move(needed)).save(context);
        }
        if (follows) {
            context->set_materialize_grads(false);
        } else if (with_kept) {
            context->mark_non_differentiable(variable_list(returned, outputs.end()));
        }
    };
    const auto tangents = [&](const variable_list &, const variable_list &changes) {
        const at::AutoFwGradMode of_outer_levels(true);  // torch has turned off this one's, but means only the inputs'
        Arguments inputs = arguments;
        variable_list of_inputs(op.inputs.size());
        std::vector<bool> needed(op.inputs.size(), false);
        size_t number = 0;
        for (size_t i = 0; i < op.inputs.size(); i++) {
            if (inputs.tensors[i].defined()) {
                of_inputs[i] = changes[number++];
                needed[i] = of_inputs[i].defined();
                inputs.tensors[i] = inputs.tensors[i]._fw_primal(0);
            }
        }
        const Kept kept(op, inputs, following_outputs(op, inputs, outputs), std::move(needed));
        variable_list result = tangents_of(kept, inputs.tensors, variable_list(outputs.begin(), returned), of_inputs);
        result.resize(count);
        if (follows) {
            result.back() = of_inputs[map].defined() ? half_spectrum(of_inputs[map]) : at::zeros_like(outputs.back());
        }
        return result;
    };
    const variable_list seen(outputs.begin(), outputs.begin() + count);
    variable_list results = attached<Derivative>(given, seen, is_recorded, save, tangents);
    results.resize(with_kept ? op.outputs.size() : op.returned());
    return results;
}

}  // namespace upwell::bridge
