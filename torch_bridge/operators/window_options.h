// What a window operator takes in torch: its schema, and the arguments of a call.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ATen/core/stack.h>

#include "runtime/operators.h"

namespace upwell::bridge {

// What an operator takes behind its tensors, in the order of its schema.
struct WindowOptions {
    std::vector<c10::SymInt> size;  // of the map that is made, where no tensor has it
    int64_t kernel = 1, groups = 1;
    std::string border;
    std::optional<int64_t> mask_ratio;
    std::optional<double> scale_h, scale_w;
};

// Whether the size of what is made is an argument: of a low-res map, and of a high-res one without weights.
bool has_size(const Operator &op);

std::string option_schema(const Operator &op);
std::string schema(const std::string &name, const std::vector<std::string> &tensors, const std::string &options);
std::string schema(const Operator &op);

void push_options(torch::jit::Stack &stack, const Operator &op, const WindowOptions &options);
// first: the first argument behind the tensors.
WindowOptions read_options(const Operator &op, const at::IValue *first);
Parameters parameters_of(const Operator &op, const WindowOptions &options);

// Where a role's tensor is among the inputs; -1: the operator does not take it.
struct WindowRoles {
    explicit WindowRoles(const Operator &op) {
        int next = 0;
        for (const auto &[name, at] : {std::pair{&op.d_output, &d_output}, {&op.value, &value}, {&op.weights, &weights}}) {
            *at = name->empty() ? -1 : next++;
        }
    }
    int d_output, value, weights;
};

}  // namespace upwell::bridge
