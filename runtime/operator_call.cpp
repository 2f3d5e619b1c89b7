#include "operator_call.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "error.h"
#include "size_check.h"
#include "tensor.h"

namespace upwell {
namespace {

using Kind = OptionArgument::Kind;

// a, b or c. text: of one.
template<class Each, class Text> std::string alternatives(const std::vector<Each> &all, const Text &text) {
    std::string list;
    for (size_t i = 0; i < all.size(); i++) {
        list += (i == 0 ? "" : i + 1 < all.size() ? ", " : " or ") + text(all[i]);
    }
    return list;
}

struct Throwing {
    using Integer = int64_t;

    const std::string &op;

    static std::optional<int64_t> known(int64_t number) { return number; }
    static std::string format(const std::vector<int64_t> &sizes) { return upwell::format(sizes); }
    static std::string format(int64_t number) { return std::to_string(number); }
    [[noreturn]] void fail(const std::string &argument, const std::string &message) const {
        throw Error(op, argument, message);
    }
    template<class Message>
    void equal(int64_t a, int64_t b, const std::string &argument, const Message &message) const {
        if (a != b) {
            fail(argument, message());
        }
    }
    template<class Message>
    void at_most(int64_t a, int64_t b, const std::string &argument, const Message &message) const {
        if (a > b) {
            fail(argument, message());
        }
    }
};

// The options of a call by name, integers to be checked with the sizes. sizes: those that an output of the call has,
// where nothing else says them.
void take_options(Named &arguments, OperatorCall &call, const std::map<std::string, int64_t> &sizes,
                  SizeCheck<Throwing> &check) {
    for (size_t i = 0; i < call.options.size(); i++) {
        const OptionArgument &option = call.op.signature.options[i];
        const auto integer = [&](const std::string &name) {
            const auto made = sizes.find(name);
            return option.is_optional    ? arguments.integer(name, 0)
                   : option.usual        ? arguments.integer(name, std::get<int64_t>(*option.usual))
                   : made != sizes.end() ? arguments.integer(name, made->second)
                                         : arguments.integer(name);
        };
        switch (option.kind) {
        case Kind::Integer:
        case Kind::Size:
        case Kind::Flag:
            check.set_option(i, integer(option.name));
            break;
        case Kind::Integers:
        case Kind::Sizes: {
            std::vector<int64_t> values;
            std::transform(option.parts.begin(), option.parts.end(), std::back_inserter(values), integer);
            const bool is_given = !option.is_optional ||
                                  std::any_of(values.begin(), values.end(), [](int64_t value) { return value != 0; });
            for (size_t part = 0; part < values.size(); part++) {
                const int64_t value = values[part];
                if (is_given && (value < option.least || value > option.most)) {
                    throw Error(arguments.op(), option.parts[part],
                                "should be in " + std::to_string(option.least) + " .. " + std::to_string(option.most) +
                                    " but is " + std::to_string(value));
                }
                check.set_part(i, part, value);
            }
            check.set_option(i, is_given);
            break;
        }
        case Kind::Real: {
            const double value = arguments.real(option.name, option.usual ? std::get<double>(*option.usual) : 0);
            call.options[i] = value;
            if (!option.is_optional || value != 0) {
                check_option(arguments.op(), option, value);
            }
            break;
        }
        case Kind::Text:
            call.options[i] = arguments.text(option.name, std::get<std::string>(*option.usual));
            check_option(arguments.op(), option, call.options[i]);
            break;
        case Kind::Fourier:
            call.options[i] = arguments.fourier(option.name);
            break;
        }
    }
}

void check_memory(const OperatorCall &call, Dtype dtype) {
    const Signature &signature = call.op.signature;
    const std::string &op = signature.name;
    if (dtype == Dtype::Int32 || (wide(dtype) != dtype && !signature.has_16_bits)) {
        throw Error(op, signature.inputs[call.op.order[0]].name,
                    std::string("should be float32 or float64 but is ") + name(dtype));
    }
    const auto check = [&](const std::string &argument, const Tensor &tensor, bool is_wide, bool takes_strides) {
        const Dtype expected = is_wide ? wide(dtype) : dtype;
        if (takes_strides) {
            check_tensor(op, argument, tensor, expected);
            return;
        }
        if (tensor.dtype != expected) {
            throw Error(op, argument, std::string("should be ") + name(expected) + " but is " + name(tensor.dtype));
        }
        if (!is_contiguous(tensor)) {
            throw Error(op, argument, "should be contiguous");
        }
        if (!tensor.data && element_count(tensor) > 0) {
            throw Error(op, argument, "should have data but is a null pointer");
        }
        if (reinterpret_cast<uintptr_t>(tensor.data) % element_size(tensor.dtype) != 0) {
            throw Error(op, argument, "should be aligned to its elements");
        }
    };
    for (size_t i = 0; i < call.inputs.size(); i++) {
        const TensorArgument &argument = signature.inputs[i];
        if (!argument.is_optional || call.inputs[i].data) {
            const bool is_map = call.op.inputs[i].size() == 4;
            check(argument.name, call.inputs[i], argument.is_wide, signature.takes_strides && is_map);
        }
    }
    for (size_t i = 0; i < call.outputs.size(); i++) {
        const OutputTensor &argument = signature.outputs[i];
        if (!argument.is_kept || call.outputs[i].data) {
            check(argument.name, call.outputs[i], argument.is_wide, false);
        }
        for (size_t other = 0; other < call.inputs.size(); other++) {
            if (overlap(call.inputs[other], call.outputs[i])) {
                throw Error(op, argument.name, "should not share memory with " + signature.inputs[other].name);
            }
        }
        for (size_t other = 0; other < i; other++) {
            if (overlap(call.outputs[other], call.outputs[i])) {
                throw Error(op, argument.name, "should not share memory with " + signature.outputs[other].name);
            }
        }
    }
}

// Whether a bit pattern of all ones in the exponent is among them.
template<class Bits> bool are_finite(const void *data, int64_t count, Bits exponent) {
    const auto *bits = static_cast<const Bits *>(data);
    Bits found = 0;
    for (int64_t i = 0; i < count; i++) {
        found |= (bits[i] & exponent) == exponent;
    }
    return found == 0;
}

void check_finite(const OperatorCall &call) {
    for (size_t i = 0; i < call.inputs.size(); i++) {
        const TensorArgument &argument = call.op.signature.inputs[i];
        const Tensor &tensor = call.inputs[i];
        if (!argument.is_finite || !tensor.data) {
            continue;
        }
        const int64_t count = element_count(tensor);
        if (!(tensor.dtype == Dtype::Float64 ? are_finite<uint64_t>(tensor.data, count, 0x7ff0000000000000)
                                             : are_finite<uint32_t>(tensor.data, count, 0x7f800000))) {
            throw Error(call.op.signature.name, argument.name,
                        "should be finite but has an element that is infinite or nan");
        }
    }
}

}  // namespace

const Tensor &OperatorCall::tensor(const std::string &name) const {
    const int number = op.input(name);
    return number >= 0 ? inputs[number] : outputs[op.output(name)];
}

void check_option(const std::string &op, const OptionArgument &option, const Value &value) {
    if (option.kind == Kind::Real) {
        const double number = std::get<double>(value);
        if (!std::isfinite(number) || number < 0 || (option.is_optional && number == 0)) {
            throw Error(op, option.name,
                        std::string("should be ") + (option.is_optional ? "positive" : "at least 0") +
                            " and finite but is " + std::to_string(number));
        }
    }
    if (option.kind == Kind::Text) {
        const std::string &given = std::get<std::string>(value);
        if (std::find(option.choices.begin(), option.choices.end(), given) == option.choices.end()) {
            const auto in_quotes = [](const std::string &choice) { return "'" + choice + "'"; };
            throw Error(op, option.name,
                        "should be " + alternatives(option.choices, in_quotes) + " but is '" + given + "'");
        }
    }
}

void run(OperatorCall call) {
    std::vector<Tensor> &outputs = call.outputs;
    const std::vector<OutputTensor> &arguments = call.op.signature.outputs;
    if (!call.queue) {
        check_finite(call);
    }
    if (std::all_of(outputs.begin(), outputs.end(), [](const Tensor &tensor) { return element_count(tensor) == 0; })) {
        return;
    }
    const Tensor &first = call.inputs[call.op.order[0]];
    Host host(wide(first.dtype), call.queue);
    if (element_count(first) == 0 &&
        std::all_of(arguments.begin(), arguments.end(), [](const OutputTensor &output) { return output.when_empty; })) {
        for (size_t i = 0; i < outputs.size(); i++) {
            if (outputs[i].data && element_count(outputs[i]) > 0) {
                host.fill(outputs[i], *arguments[i].when_empty);
            }
        }
        return;
    }
    for (Tensor &output : outputs) {
        if (!output.data) {
            output = host.scratch(output.sizes);
        }
    }
    call.op.signature.run(host, call);
}

void run_named(const Operator &op, Named &arguments, const Queue *queue) {
    const Signature &signature = op.signature;
    OperatorCall call(op);
    call.queue = queue;
    const Throwing report{signature.name};
    SizeCheck<Throwing> check(op, report);
    for (size_t i = 0; i < call.inputs.size(); i++) {
        const TensorArgument &argument = signature.inputs[i];
        call.inputs[i] = argument.is_optional ? arguments.tensor(argument.name, {}) : arguments.tensor(argument.name);
        if (!argument.is_optional || call.inputs[i].data) {
            check.set_input(static_cast<int>(i), call.inputs[i].sizes);
        }
    }
    for (size_t i = 0; i < call.outputs.size(); i++) {
        const OutputTensor &argument = signature.outputs[i];
        call.outputs[i] = argument.is_kept ? arguments.tensor(argument.name, {}) : arguments.tensor(argument.name);
    }
    std::map<std::string, int64_t> sizes;
    for (size_t i = 0; i < call.outputs.size(); i++) {
        for (size_t d = 0; d < std::min(op.outputs[i].size(), call.outputs[i].sizes.size()); d++) {
            if (const int symbol = op.outputs[i][d].symbol(); symbol >= 0) {
                sizes.emplace(op.symbols.name(symbol), call.outputs[i].sizes[d]);
            }
        }
    }
    take_options(arguments, call, sizes, check);
    arguments.finish();
    check.check();
    call.numbers = check.values();
    for (size_t i = 0; i < call.outputs.size(); i++) {
        if (signature.outputs[i].is_kept && !call.outputs[i].data) {
            call.outputs[i].sizes = check.outputs()[i];
        }
        check.check_sizes(signature.outputs[i].name, call.outputs[i].sizes, check.outputs()[i]);
    }
    check_memory(call, call.inputs[op.order[0]].dtype);
    run(std::move(call));
}

}  // namespace upwell
