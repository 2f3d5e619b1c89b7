#include "signature.h"

#include <algorithm>

namespace upwell {

using Kind = OptionArgument::Kind;

TensorArgument tensor(std::string name, std::string sizes) {
    return {std::move(name), std::move(sizes)};
}

TensorArgument optional_tensor(std::string name, std::string sizes) {
    return {std::move(name), std::move(sizes), true};
}

TensorArgument flattened_tensor(std::string name, std::string sizes) {
    return {std::move(name), std::move(sizes), false, true};
}

TensorArgument finite_tensor(std::string name, std::string sizes) {
    return {std::move(name), std::move(sizes), false, false, true};
}

TensorArgument wide_tensor(std::string name, std::string sizes) {
    TensorArgument argument = tensor(std::move(name), std::move(sizes));
    argument.is_wide = true;
    return argument;
}

OptionArgument integer(std::string name, int64_t least, int64_t most, std::optional<int64_t> usual) {
    OptionArgument option{std::move(name), Kind::Integer, least, most};
    if (usual) {
        option.usual = *usual;
    }
    return option;
}

OptionArgument optional_integer(std::string name) {
    OptionArgument option{std::move(name), Kind::Integer};
    option.is_optional = true;
    return option;
}

OptionArgument built_integer(std::string name, std::function<const std::vector<int64_t> &()> built) {
    OptionArgument option{std::move(name), Kind::Integer};
    option.built = std::move(built);
    return option;
}

OptionArgument size(std::string name) {
    return {std::move(name), Kind::Size};
}

OptionArgument real(std::string name, double usual) {
    OptionArgument option{std::move(name), Kind::Real};
    option.usual = usual;
    return option;
}

OptionArgument optional_real(std::string name) {
    OptionArgument option{std::move(name), Kind::Real};
    option.is_optional = true;
    return option;
}

OptionArgument flag(std::string name, bool usual) {
    OptionArgument option{std::move(name), Kind::Flag, 0, 1};
    option.usual = int64_t(usual);
    return option;
}

OptionArgument text(std::string name, std::vector<std::string> choices) {
    OptionArgument option{std::move(name), Kind::Text};
    option.usual = choices[0];
    option.choices = std::move(choices);
    return option;
}

OptionArgument integers(std::string name, std::vector<std::string> parts, int64_t least, int64_t most, int64_t usual) {
    OptionArgument option{std::move(name), Kind::Integers, least, most, std::move(parts)};
    option.usual = usual;
    return option;
}

OptionArgument sizes(std::string name, std::vector<std::string> parts) {
    return {std::move(name), Kind::Sizes, 1, INT_MAX, std::move(parts)};
}

OptionArgument optional_sizes(std::string name, std::vector<std::string> parts) {
    OptionArgument option = sizes(std::move(name), std::move(parts));
    option.is_optional = true;
    return option;
}

OptionArgument fourier() {
    return {"fourier", Kind::Fourier};
}

std::vector<std::string> input_names(const Signature &of) {
    std::vector<std::string> names;
    for (const TensorArgument &input : of.inputs) {
        names.push_back(input.name);
    }
    return names;
}

Signature add_backward(Signature &of, const std::vector<std::string> &saved, Signature::Run run) {
    Signature backward;
    backward.name = of.name + "_backward";
    backward.doc = "Gradients of " + of.name + ".";
    for (const OutputTensor &output : of.outputs) {
        if (!output.is_kept) {
            backward.inputs.push_back(tensor("d_" + output.name, output.sizes));
        }
    }
    const auto argument = [&](const std::string &name) {
        for (const TensorArgument &input : of.inputs) {
            if (input.name == name) {
                return input.is_wide ? wide_tensor(name, input.sizes) : tensor(name, input.sizes);
            }
        }
        return tensor(name, std::find_if(of.outputs.begin(), of.outputs.end(), [&](const OutputTensor &o) {
                                return o.name == name;
                            })->sizes);
    };
    for (const std::string &name : saved) {
        backward.inputs.push_back(argument(name));
    }
    backward.options = of.options;
    Gradient gradient{Gradient::Rule::Call, input_names(of), backward.name};
    for (const TensorArgument &input : of.inputs) {
        backward.outputs.push_back({"d_" + input.name, input.sizes});
        backward.outputs.back().is_wide = input.is_wide;
    }
    backward.run = std::move(run);
    backward.first = of.first.empty() ? std::vector{of.inputs[0].name} : of.first;
    backward.conditions = of.conditions;
    backward.addressed = of.addressed;
    of.gradients.push_back(std::move(gradient));
    return backward;
}

}  // namespace upwell
