#include "arguments.h"

#include "../in_float.h"
#include "runtime/operator_call.h"

namespace upwell::bridge {
namespace {

using at::IValue;
using Kind = OptionArgument::Kind;

std::string schema_of(const OptionArgument &option) {
    const std::string count = std::to_string(option.parts.size());
    const auto usual = [&](auto type) {
        return option.usual ? c10::str("=", std::get<decltype(type)>(*option.usual)) : std::string();
    };
    switch (option.kind) {
    case Kind::Integer:
        return option.is_optional ? "int? " + option.name + "=None" : "int " + option.name + usual(int64_t());
    case Kind::Size:
        return "SymInt " + option.name;
    case Kind::Real:
        return option.is_optional ? "float? " + option.name + "=None" : "float " + option.name + usual(double());
    case Kind::Flag:
        return "bool " + option.name + (std::get<int64_t>(*option.usual) ? "=True" : "=False");
    case Kind::Text:
        return "str " + option.name + "=\"" + std::get<std::string>(*option.usual) + "\"";
    case Kind::Integers:
        return "int[" + count + "] " + option.name + usual(int64_t());
    case Kind::Sizes:
        return option.is_optional ? "SymInt[]? " + option.name + "=None" : "SymInt[" + count + "] " + option.name;
    case Kind::Fourier:
        break;
    }
    return "";
}

// Of a call's number of parts, where a list has another.
void check_count(const Operator &op, const OptionArgument &option, const Sizes &given) {
    TORCH_CHECK(given.size() == option.parts.size(), op.signature.name, ": ", option.name, " should be ",
                option.parts.size(), " integers but is ", format(given));
}

// Refused in torch's way.
void check_value(const Operator &op, const OptionArgument &option, const Value &value) {
    try {
        check_option(op.signature.name, option, value);
    } catch (const upwell::Error &error) {
        TORCH_CHECK(false, error.what());
    }
}

}  // namespace

std::string schema(const Operator &op, bool with_kept) {
    const Signature &signature = op.signature;
    std::string list, made;
    for (const TensorArgument &tensor : signature.inputs) {
        list += (list.empty() ? "" : ", ") +
                (tensor.is_optional ? "Tensor? " + tensor.name + "=None" : "Tensor " + tensor.name);
    }
    for (const OptionArgument &option : signature.options) {
        const std::string text = schema_of(option);
        list += text.empty() ? "" : ", " + text;
    }
    const size_t count = with_kept ? op.outputs.size() : op.returned();
    for (size_t i = 0; i < count; i++) {
        made += i ? ", Tensor" : "Tensor";
    }
    return signature.name + (with_kept ? "_forward(" : "(") + list + ") -> " + (count == 1 ? made : "(" + made + ")");
}

size_t argument_count(const Operator &op) {
    size_t count = op.inputs.size();
    for (const OptionArgument &option : op.signature.options) {
        count += option.kind != Kind::Fourier;
    }
    return count;
}

Arguments read_arguments(const Operator &op, const IValue *next) {
    Arguments arguments;
    arguments.tensors.reserve(op.inputs.size());
    for (size_t i = 0; i < op.inputs.size(); i++, next++) {
        const int64_t rank = static_cast<int64_t>(op.inputs[i].size());
        Tensor tensor = next->isNone() ? Tensor() : next->toTensor();
        TORCH_CHECK(tensor.defined() || op.signature.inputs[i].is_optional, op.signature.name, ": ",
                    op.signature.inputs[i].name, " should be a tensor but is None");
        const bool is_more = op.signature.inputs[i].is_flattened && tensor.defined() && tensor.dim() > rank;
        arguments.tensors.push_back(is_more ? tensor.flatten(rank - 1) : std::move(tensor));
    }
    for (const OptionArgument &option : op.signature.options) {
        arguments.options.push_back(option.kind == Kind::Fourier ? IValue() : *next++);
    }
    return arguments;
}

Check checked(const Operator &op, const Arguments &arguments, const Refusal &refusal) {
    Check check(op, refusal);
    for (size_t i = 0; i < arguments.tensors.size(); i++) {
        if (arguments.tensors[i].defined()) {
            check.set_input(static_cast<int>(i), arguments.tensors[i].sym_sizes().vec());
        }
    }
    for (size_t i = 0; i < arguments.options.size(); i++) {
        const OptionArgument &option = op.signature.options[i];
        const IValue &given = arguments.options[i];
        switch (option.kind) {
        case Kind::Integer:
            if (given.isNone()) {
                check.set_option(i, 0);
            } else {
                TORCH_CHECK(!option.is_optional || given.toInt() != 0, op.signature.name, ": ", option.name,
                            " should be at least ", option.least, " but is 0");
                check.set_option(i, given.toInt());
            }
            break;
        case Kind::Size:
            check.set_option(i, given.toSymInt());
            break;
        case Kind::Flag:
            check.set_option(i, int64_t(given.toBool()));
            break;
        case Kind::Integers:
        case Kind::Sizes: {
            Sizes parts(option.parts.size(), 0);
            if (!given.isNone()) {
                parts = given.toSymIntVector();
                check_count(op, option, parts);
            }
            for (size_t part = 0; part < parts.size(); part++) {
                check.set_part(i, part, parts[part]);
            }
            check.set_option(i, int64_t(!given.isNone()));
            break;
        }
        case Kind::Real:
            if (!given.isNone()) {
                check_value(op, option, given.toDouble());
            }
            break;
        case Kind::Text:
            check_value(op, option, given.toStringRef());
            break;
        case Kind::Fourier:
            break;
        }
    }
    check.check();
    return check;
}

void check_tensors(const Operator &op, const Arguments &arguments) {
    const Signature &signature = op.signature;
    const int first = op.order[0];
    const Tensor &like = arguments.tensors[first];
    const std::string &name = signature.inputs[first].name;
    check_kind(signature.name, name, like);
    for (size_t i = 0; i < arguments.tensors.size(); i++) {
        if (const Tensor &tensor = arguments.tensors[i]; tensor.defined()) {
            const TensorArgument &argument = signature.inputs[i];
            check_kind(signature.name, argument.name, tensor);
            if (argument.is_wide && is_16_bit(like) && tensor.scalar_type() == at::kFloat) {
                check_device(signature.name, argument.name, tensor, name, like);
            } else {
                check_alike(signature.name, argument.name, tensor, name, like);
            }
        }
    }
}

}  // namespace upwell::bridge
