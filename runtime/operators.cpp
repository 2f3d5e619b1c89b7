// What the operators are, and what their arguments have to be.
#include "operators.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>

#include "error.h"
#include "tensor.h"

namespace upwell {
namespace {

constexpr Family families[] = {
    {"fns", "fns", "logits", Grid::HighRes, Sampling::Bilinear, Border::Masked, false, false, true},
    {"carafe", "carafe", "logits", Grid::LowRes, Sampling::Nearest, Border::Zero, true, true, false},
    {"carafe_reassembly", "reassembly", "weight", Grid::LowRes, Sampling::Nearest, Border::Zero, true, false, false},
    {"bilinear", "bilinear", nullptr, Grid::LowRes, Sampling::Bilinear, Border::Replicate, false, false, false},
    {"nearest", "nearest", nullptr, Grid::LowRes, Sampling::Nearest, Border::Replicate, false, false, false},
};

std::vector<Operator> list_operators() {
    std::vector<Operator> list;
    for (const Family &family : families) {
        list.push_back({&family, Direction::Forward, family.name});
        list.push_back({&family, Direction::DValue, std::string(family.name) + "_d_value"});
        if (family.weights) {
            list.push_back({&family, Direction::DWeight, std::string(family.name) + "_d_" + family.weights});
        }
    }
    return list;
}

// `<argument> should be <expected> but is <actual>`
[[noreturn]] void refuse(const std::string &op, const std::string &argument, const std::string &expected,
                         const std::string &actual) {
    throw Error(op, argument, "should be " + expected + " but is " + actual);
}

void check_sizes(const std::string &op, const std::string &argument, const Tensor &tensor,
                 const std::vector<int64_t> &expected) {
    if (tensor.sizes != expected) {
        refuse(op, argument, format(expected), format(tensor.sizes));
    }
}

void check_parameters(const Operator &op, const Parameters &parameters) {
    const std::vector<int64_t> built = kernels(op.family->name);
    if (std::find(built.begin(), built.end(), parameters.kernel) == built.end()) {
        refuse(op.name, "kernel", "one of " + format(built) + " (those that were built)",
               std::to_string(parameters.kernel));
    }
    const int64_t most_groups = op.family->has_groups ? INT32_MAX : 1;
    if (parameters.groups < 1 || parameters.groups > most_groups) {
        refuse(op.name, "groups", "in 1 .. " + std::to_string(most_groups), std::to_string(parameters.groups));
    }
    if (parameters.mask_ratio < 0 || (parameters.mask_ratio > 0 && !op.family->has_mask_ratio)) {
        refuse(op.name, "mask_ratio", op.family->has_mask_ratio ? "at least 1, or 0 for the true ratio" : "0",
               std::to_string(parameters.mask_ratio));
    }
    if (parameters.border != Border::Zero && !(op.family->has_border && parameters.border == Border::Masked)) {
        refuse(op.name, "border", op.family->has_border ? "zero or mask" : "zero",
               parameters.border == Border::Masked ? "mask" : "replicate");
    }
    for (const double scale : parameters.scale) {
        if (!(scale >= 0) || std::isinf(scale) || (scale > 0 && op.family->weights)) {
            refuse(op.name, "scale", op.family->weights ? "0" : "positive and finite, or 0 for the true ratio",
                   std::to_string(scale));
        }
    }
}

// The names of the inputs, in order.
std::vector<std::string> input_names(const Operator &op) {
    std::vector<std::string> names;
    if (op.direction != Direction::Forward) {
        names.push_back("d_output");
    }
    if (op.direction != Direction::DValue) {
        names.push_back("value");
    }
    if (op.family->weights) {
        names.push_back(op.family->weights);
    }
    return names;
}

std::string output_name(const Operator &op) {
    switch (op.direction) {
    case Direction::Forward:
        return "output";
    case Direction::DValue:
        return "d_value";
    case Direction::DWeight:
        return std::string("d_") + op.family->weights;
    }
    return "";
}

}  // namespace

Taps Problem::taps() const {
    const Family &family = *op.family;
    return {static_cast<int>(parameters.kernel), family.grid, family.sampling,
            family.has_border ? parameters.border : family.border};
}

std::array<double, 2> Problem::scale() const {
    const auto real = [&](double scale, int64_t low, int64_t high) {
        const bool is_ratio =
            std::floor(scale) == scale && scale * static_cast<double>(low) == static_cast<double>(high);
        // compute_source_index_and_lambda and nearest_idx in ATen/native/UpSample.h
        const bool is_aside = high == low || (op.family->sampling == Sampling::Nearest && high == 2 * low);
        return is_ratio || is_aside ? 0 : scale;
    };
    return {real(parameters.scale[0], h, H), real(parameters.scale[1], w, W)};
}

const std::vector<Operator> &operators() {
    static const std::vector<Operator> list = list_operators();
    return list;
}

const Operator &find_operator(const std::string &name) {
    static const auto by_name = [] {
        std::unordered_map<std::string_view, const Operator *> all;
        for (const Operator &op : operators()) {
            all.emplace(op.name, &op);
        }
        return all;
    }();
    if (const auto found = by_name.find(name); found != by_name.end()) {
        return *found->second;
    }
    std::string known;
    for (const Operator &op : operators()) {
        known += (known.empty() ? "" : ", ") + op.name;
    }
    refuse("upwell", "operator", "one of " + known, "'" + name + "'");
}

Problem check(const Operator &op, const Parameters &parameters, const std::vector<Tensor> &inputs,
              const Tensor &output) {
    check_parameters(op, parameters);
    const std::vector<std::string> names = input_names(op);
    if (inputs.size() != names.size()) {
        refuse(op.name, "inputs", std::to_string(names.size()) + " tensors", std::to_string(inputs.size()));
    }
    const Dtype dtype = inputs[0].dtype;  // of the maps
    Problem problem{op, parameters, dtype, 0, 0, 0, 0, 0, 0, nullptr, nullptr, nullptr, &output};
    check_tensor(op.name, output_name(op), output, op.direction == Direction::DWeight ? wide(dtype) : dtype);
    for (size_t i = 0; i < inputs.size(); i++) {
        check_tensor(op.name, names[i], inputs[i],
                     op.family->weights && names[i] == op.family->weights ? wide(dtype) : dtype);
        const Tensor *&role = names[i] == "value"      ? problem.value
                              : names[i] == "d_output" ? problem.d_output
                                                       : problem.weights;
        role = &inputs[i];
    }

    const std::vector<int64_t> &low = problem.value ? problem.value->sizes : output.sizes;
    const std::vector<int64_t> &high = problem.d_output ? problem.d_output->sizes : output.sizes;
    problem.N = low[0], problem.C = low[1], problem.h = low[2], problem.w = low[3], problem.H = high[2],
    problem.W = high[3];
    if (problem.C % parameters.groups != 0) {
        refuse(op.name, "groups", "a divisor of the " + std::to_string(problem.C) + " channels",
               std::to_string(parameters.groups));
    }
    const int64_t taps = parameters.groups * parameters.kernel * parameters.kernel;
    const std::vector<int64_t> weights{problem.N, taps, problem.H, problem.W};
    const std::vector<int64_t> map{problem.N, problem.C, problem.H, problem.W};
    if (problem.weights) {
        check_sizes(op.name, op.family->weights, *problem.weights, weights);
    }
    if (problem.d_output) {
        check_sizes(op.name, "d_output", *problem.d_output, map);
    }
    if (op.direction != Direction::DValue) {
        check_sizes(op.name, output_name(op), output, op.direction == Direction::Forward ? map : weights);
    }
    if (!is_contiguous(output)) {
        throw Error(op.name, output_name(op), "should be contiguous");
    }
    for (size_t i = 0; i < inputs.size(); i++) {
        if (overlap(inputs[i], output)) {
            throw Error(op.name, output_name(op), "should not share memory with " + names[i]);
        }
        if (parameters.groups > 1 && !is_splittable(inputs[i])) {
            throw Error(op.name, names[i], "should have its channels and batch contiguous when groups > 1");
        }
    }
    return problem;
}

}  // namespace upwell
