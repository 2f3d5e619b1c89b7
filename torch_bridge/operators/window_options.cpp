#include "window_options.h"

namespace upwell::bridge {

using at::IValue;
using torch::jit::Stack;

bool has_size(const Operator &op) {
    return op.direction == Direction::DValue || !op.has_weights();
}

std::string option_schema(const Operator &op) {
    return std::string(op.has_kernel ? ", int kernel" : "") + (op.has_groups ? ", int groups=1" : "") +
           (op.has_border() ? ", str border=\"" + op.choices.front().border + "\"" : "") +
           (op.has_mask_ratio ? ", int? mask_ratio=None" : "") +
           (op.has_weights() ? "" : ", float? scale_h=None, float? scale_w=None");
}

std::string schema(const std::string &name, const std::vector<std::string> &tensors, const std::string &options) {
    std::string list;
    for (const std::string &tensor : tensors) {
        list += (list.empty() ? "Tensor " : ", Tensor ") + tensor;
    }
    return name + "(" + list + options + ") -> Tensor";
}

std::string schema(const Operator &op) {
    const char *const size = !has_size(op) ? "" : op.has_weights() ? ", SymInt h, SymInt w" : ", SymInt[2] size";
    return schema(op.name, op.inputs, size + option_schema(op));
}

void push_options(Stack &stack, const Operator &op, const WindowOptions &options) {
    if (has_size(op) && op.has_weights()) {
        stack.emplace_back(options.size[0]);
        stack.emplace_back(options.size[1]);
    } else if (has_size(op)) {
        stack.emplace_back(c10::SymIntArrayRef(options.size));
    }
    if (op.has_kernel) {
        stack.emplace_back(options.kernel);
    }
    if (op.has_groups) {
        stack.emplace_back(options.groups);
    }
    if (op.has_border()) {
        stack.emplace_back(options.border);
    }
    if (op.has_mask_ratio) {
        stack.emplace_back(options.mask_ratio);
    }
    if (!op.has_weights()) {
        stack.emplace_back(options.scale_h);
        stack.emplace_back(options.scale_w);
    }
}

WindowOptions read_options(const Operator &op, const IValue *next) {
    WindowOptions options;
    if (has_size(op) && op.has_weights()) {
        options.size = {(next++)->toSymInt(), (next++)->toSymInt()};
    } else if (has_size(op)) {
        options.size = (next++)->toSymIntVector();
    }
    if (op.has_kernel) {
        options.kernel = (next++)->toInt();
    }
    if (op.has_groups) {
        options.groups = (next++)->toInt();
    }
    if (op.has_border()) {
        options.border = (next++)->toStringRef();
    }
    if (op.has_mask_ratio) {
        options.mask_ratio = (next++)->toOptional<int64_t>();
    }
    if (!op.has_weights()) {
        options.scale_h = (next++)->toOptional<double>();
        options.scale_w = (next++)->toOptional<double>();
    }
    return options;
}

Parameters parameters_of(const Operator &op, const WindowOptions &options) {
    Parameters parameters;
    parameters.kernel = options.kernel;
    parameters.groups = options.groups;
    parameters.mask_ratio = options.mask_ratio.value_or(0);
    parameters.scale = {options.scale_h.value_or(0), options.scale_w.value_or(0)};
    if (op.has_border()) {
        parameters.border = border_of(op, options.border);
    }
    return parameters;
}

}  // namespace upwell::bridge
