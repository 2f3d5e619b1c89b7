#include "plan.h"

#include <mutex>
#include <unordered_map>

namespace upwell::bridge {
namespace {

using Kind = OptionArgument::Kind;
using Rule = Gradient::Rule;

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

Plan::Size size_of(const Operator &op, const std::string &name) {
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

}  // namespace

Plan::Plan(const Operator &op) {
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

const Plan &Plan::of(const Operator &op) {
    static std::mutex &mutex = *new std::mutex;
    static auto &all = *new std::unordered_map<const Operator *, Plan>;
    const std::lock_guard lock(mutex);
    return all.try_emplace(&op, op).first->second;
}

}  // namespace upwell::bridge
