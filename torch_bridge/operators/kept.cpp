#include "kept.h"

#include <algorithm>

namespace upwell::bridge {

using Kind = OptionArgument::Kind;

Kept::Kept(const Operator &op, const Arguments &arguments, const std::vector<Tensor> &outputs, std::vector<bool> needs)
    : op(op), plan(Plan::of(op)), needed(std::move(needs)), tensors(op.inputs.size() + op.outputs.size()),
      options(arguments.options) {
    for (const Tensor &tensor : arguments.tensors) {
        given.push_back(tensor.defined());
    }
    if (plan.calls.empty()) {  // a gradient itself
        std::copy(arguments.tensors.begin(), arguments.tensors.end(), tensors.begin());
    }
    for (size_t i = 0; i < plan.calls.size(); i++) {
        if (!is_needed(op.signature.gradients[i])) {
            continue;
        }
        for (const Source &source : plan.calls[i].tensors) {
            if (source.from == Source::Input) {
                tensors[source.number] = arguments.tensors[source.number];
            } else if (source.from == Source::Output) {
                tensors[op.inputs.size() + source.number] = outputs[source.number];
            }
        }
    }
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
}

Kept::Kept(torch::autograd::AutogradContext *context)
    : op(*find_operator(context->saved_data["operator"].toStringRef())), plan(Plan::of(op)),
      tensors(context->get_saved_variables()), options(context->saved_data["options"].toTupleRef().elements().vec()) {
    auto &data = context->saved_data;
    if (const auto found = data.find("sizes"); found != data.end()) {
        sizes = found->second.toSymIntVector();
    }
    size_t number = 0;
    for (const int64_t is_given : data["given"].toIntVector()) {
        given.push_back(is_given);
        needed.push_back(is_given && context->needs_input_grad(number));
        number += is_given;
    }
}

void Kept::save(torch::autograd::AutogradContext *context) && {
    context->save_for_backward(std::move(tensors));
    auto &data = context->saved_data;
    data["operator"] = op.signature.name;
    data["given"] = std::vector<int64_t>(given.begin(), given.end());
    data["options"] = c10::ivalue::Tuple::create(std::move(options));
    if (!sizes.empty()) {
        data["sizes"] = c10::SymIntArrayRef(sizes);
    }
}

bool Kept::is_needed(const Gradient &gradient) const {
    return std::any_of(gradient.of.begin(), gradient.of.end(),
                       [&](const std::string &name) { return needed[op.input(name)]; });
}

c10::SymInt Kept::size(const std::string &name) const {
    const std::vector<Plan::Size> &all = plan.sizes;
    const auto at = std::find_if(all.begin(), all.end(), [&](const Plan::Size &each) { return each.name == name; });
    return sizes[at - all.begin()];
}

Arguments Kept::arguments_of(size_t number, const std::vector<Tensor> &gradients) const {
    const Plan::Call &call = plan.calls[number];
    Arguments arguments;
    for (const Source &source : call.tensors) {
        if (source.from == Source::Nothing) {
            arguments.tensors.emplace_back();
        } else if (source.from == Source::Gradient) {
            arguments.tensors.push_back(gradients[source.number]);
        } else {
            const size_t skipped = source.from == Source::Output ? op.inputs.size() : 0;
            arguments.tensors.push_back(tensors[source.number + skipped]);
        }
    }
    for (size_t i = 0; i < call.options.size(); i++) {
        const OptionArgument &option = call.maker->signature.options[i];
        if (option.kind == Kind::Fourier) {
            arguments.options.emplace_back();
        } else if (call.options[i] >= 0) {
            arguments.options.push_back(options[call.options[i]]);
        } else if (option.kind == Kind::Sizes) {
            Sizes parts;
            for (const std::string &part : option.parts) {
                parts.push_back(size(part));
            }
            arguments.options.emplace_back(c10::SymIntArrayRef(parts));
        } else {
            arguments.options.emplace_back(size(option.name));
        }
    }
    return arguments;
}

}  // namespace upwell::bridge
