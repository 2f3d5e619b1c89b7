#include "signature_json.h"

#include "language/description.h"
#include "operators.h"

namespace upwell {
namespace {

std::string json(bool value) {
    return value ? "true" : "false";
}

template<class List, class F> std::string listed(const List &list, const F &f) {
    std::string all;
    for (const auto &each : list) {
        all += (all.empty() ? "" : ", ") + f(each);
    }
    return "[" + all + "]";
}

std::string json(const TensorArgument &input) {
    return "{\"name\": " + quoted(input.name) + ", \"sizes\": " + quoted(input.sizes) +
           ", \"optional\": " + json(input.is_optional) + ", \"flattened\": " + json(input.is_flattened) +
           ", \"finite\": " + json(input.is_finite) + ", \"wide\": " + json(input.is_wide) + "}";
}

std::string json(const OptionArgument &option) {
    const char *const kinds[] = {"integer", "size", "real", "flag", "text", "integers", "sizes", "fourier"};
    std::string usual = "null";
    if (option.usual) {
        usual = std::visit(
            [](const auto &value) -> std::string {
                if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>>) {
                    return std::to_string(value);
                } else if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
                    return quoted(value);
                }
                return "null";
            },
            *option.usual);
    }
    return "{\"name\": " + quoted(option.name) + ", \"kind\": " + quoted(kinds[static_cast<int>(option.kind)]) +
           ", \"least\": " + std::to_string(option.least) + ", \"most\": " + std::to_string(option.most) +
           ", \"parts\": " + listed(option.parts, quoted) + ", \"choices\": " + listed(option.choices, quoted) +
           ", \"built\": " +
           (option.built ? listed(option.built(), [](int64_t side) { return std::to_string(side); }) : "null") +
           ", \"usual\": " + usual + ", \"optional\": " + json(option.is_optional) + "}";
}

std::string json(const OutputTensor &output) {
    return "{\"name\": " + quoted(output.name) + ", \"sizes\": " + quoted(output.sizes) +
           ", \"kept\": " + json(output.is_kept) + ", \"wide\": " + json(output.is_wide) + "}";
}

std::string json(const Condition &condition) {
    return "{\"formula\": " + quoted(condition.formula) + ", \"argument\": " + quoted(condition.argument) +
           ", \"message\": " + quoted(condition.message) + "}";
}

std::string json(const Gradient &gradient) {
    const char *const rules[] = {"call", "same", "centre", "spread"};
    return "{\"rule\": " + quoted(rules[static_cast<int>(gradient.rule)]) + ", \"of\": " + listed(gradient.of, quoted) +
           ", \"operator\": " + quoted(gradient.op) + "}";
}

std::string json(const Operator &op) {
    const Signature &s = op.signature;
    const char *const autocasts[] = {"none", "to float32", "to the narrow dtype"};
    const auto each = [](const auto &one) { return json(one); };
    return "{\"name\": " + quoted(s.name) + ", \"doc\": " + quoted(s.doc) + ", \"inputs\": " + listed(s.inputs, each) +
           ", \"options\": " + listed(s.options, each) + ", \"outputs\": " + listed(s.outputs, each) +
           ", \"first\": " + quoted(s.inputs[op.order[0]].name) + ", \"conditions\": " + listed(s.conditions, each) +
           ", \"gradients\": " + listed(s.gradients, each) +
           ", \"autocast\": " + quoted(autocasts[static_cast<int>(s.autocast)]) + ", \"16 bits\": " + json(s.has_16_bits) +
           ", \"parts\": " + (s.chain ? listed(std::vector{s.chain->scores, s.chain->sum}, quoted) : "[]") + "}";
}

}  // namespace

std::string signatures_as_json() {
    std::string list;
    for (const Operator *op : operators()) {
        list += (list.empty() ? "" : ",\n ") + json(*op);
    }
    return "[" + list + "]";
}

}  // namespace upwell
