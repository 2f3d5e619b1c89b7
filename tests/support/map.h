// Maps with memory of their own, filled reproducibly, and whole calls on them.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "operators.h"
#include "window_operators.h"

namespace upwell::test {

// N,C,H,W, contiguous.
template<class T> struct Map {
    std::vector<int64_t> sizes;
    std::vector<T> data;

    explicit Map(std::vector<int64_t> sizes_, unsigned seed = 0) : sizes(std::move(sizes_)) {
        int64_t count = 1;
        for (const int64_t size : sizes) {
            count *= size;
        }
        std::mt19937 bits(seed);
        std::uniform_real_distribution<double> uniform(-1, 1);
        data.resize(count);
        std::generate(data.begin(), data.end(), [&] { return static_cast<T>(uniform(bits)); });
    }

    Tensor tensor() { return {data.data(), sizeof(T) == 4 ? Dtype::Float32 : Dtype::Float64, sizes, {}}; }
};

// A call whose tensors come in the operator's order.
inline void run_in_order(const std::string &name, const Parameters &parameters, const std::vector<Tensor> &inputs,
                         const Tensor &output, const Queue *queue = nullptr) {
    const Operator *found = find_operator(name);
    if (!found) {
        run(name, {}, queue);  // which says so
        return;
    }
    const Operator &op = *found;
    std::vector<NamedArgument> arguments{{op.signature.outputs[0].name, output}};
    for (size_t i = 0; i < inputs.size(); i++) {
        arguments.push_back({op.signature.inputs[i].name, inputs[i]});
    }
    for (const OptionArgument &option : op.signature.options) {
        if (option.name == "kernel") {
            arguments.push_back({option.name, parameters.kernel});
        } else if (option.name == "groups") {
            arguments.push_back({option.name, parameters.groups});
        } else if (option.name == "mask_ratio") {
            arguments.push_back({option.name, parameters.mask_ratio});
        } else if (option.name == "border") {
            arguments.push_back({option.name, option.choices[parameters.border]});
        } else if (option.name == "scale_h" || option.name == "scale_w") {
            arguments.push_back({option.name, parameters.scale[option.name == "scale_w"]});
        }
    }
    run(name, arguments, queue);
}

// What a call by name is refused with.
inline std::string message(const std::string &name, const std::vector<NamedArgument> &arguments) {
    try {
        run(name, arguments);
    } catch (const Error &error) {
        return error.what();
    }
    return "no error";
}

template<class T> double worst_difference(const std::vector<T> &a, const std::vector<T> &b) {
    double worst = a.size() == b.size() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(a.size(), b.size()); i++) {
        worst = std::max(worst, std::abs(double(a[i]) - double(b[i])));
    }
    return worst;
}

// One call of every operator and direction.
struct Case {
    std::string name;
    Parameters parameters;
    std::vector<std::vector<int64_t>> inputs;  // sizes
    std::vector<int64_t> output;
};

// All operators at N = 2, C = 6 from 5 x 7 to H x W.
inline std::vector<Case> cases(int64_t H, int64_t W) {
    const std::vector<int64_t> low{2, 6, 5, 7}, high{2, 6, H, W};
    std::vector<Case> list;
    const auto weighted = [&](const std::string &name, const std::string &weights, const Parameters &parameters) {
        const std::vector<int64_t> taps{2, parameters.groups * parameters.kernel * parameters.kernel, H, W};
        list.push_back({name, parameters, {low, taps}, high});
        list.push_back({name + "_d_value", parameters, {high, taps}, low});
        const bool are_made_alone = name == "carafe_reassembly";  // linear in the weights
        list.push_back({name + "_d_" + weights, parameters,
                        are_made_alone ? std::vector{high, low} : std::vector{high, low, taps}, taps});
    };
    for (const int64_t kernel : kernels("fns")) {
        weighted("fns", "logits", {kernel, 1, 0});
        weighted("fns", "logits", {kernel, 1, 3});
    }
    for (const int64_t kernel : kernels("carafe")) {
        weighted("carafe", "logits", {kernel, 2, 0});
        weighted("carafe", "logits", {kernel, 3, 0, 1});
        weighted("carafe_reassembly", "weight", {kernel, 2, 0});
    }
    for (const std::string name : {"bilinear", "nearest"}) {
        list.push_back({name, {}, {low}, high});
        list.push_back({name + "_d_value", {}, {high}, low});
    }
    return list;
}

// The output of a case on reproducible inputs.
template<class T> std::vector<T> run_case(const Case &c) {
    std::vector<Map<T>> maps;
    for (size_t i = 0; i < c.inputs.size(); i++) {
        maps.emplace_back(c.inputs[i], static_cast<unsigned>(i + 1));
    }
    std::vector<Tensor> inputs;
    for (Map<T> &map : maps) {
        inputs.push_back(map.tensor());
    }
    Map<T> output(c.output);
    std::fill(output.data.begin(), output.data.end(), static_cast<T>(NAN));  // every element has to be written
    run_in_order(c.name, c.parameters, inputs, output.tensor());
    return output.data;
}

}  // namespace upwell::test
