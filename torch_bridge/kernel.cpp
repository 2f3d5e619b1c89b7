// Check, allocate, call.
#include "kernel.h"

#include <algorithm>
#include <sstream>

#include <ATen/ops/empty.h>

#include "torch_threads.h"

namespace upwell::bridge {

std::string format(c10::SymIntArrayRef sizes) {
    std::ostringstream text;
    text << sizes;
    return text.str();
}

void check_elements(const std::string &op, const std::string &argument, c10::SymIntArrayRef sizes) {
    int64_t most = INT32_MAX;
    for (const c10::SymInt &size : sizes) {
        const std::optional<int64_t> known = size.maybe_as_int();
        if (!known || *known == 0) {
            return;
        }
        TORCH_CHECK(*known <= most, op, ": ", argument, " should have at most 2147483647 elements but is ",
                    format(sizes));
        most /= *known;
    }
}

Sizes check_map(const std::string &op, const std::string &argument, const Tensor &tensor) {
    TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble, op, ": ", argument,
                " should be float32 or float64 but is ", tensor.scalar_type());
    TORCH_CHECK(tensor.layout() == at::kStrided, op, ": ", argument, " should be dense but is ", tensor.layout());
    TORCH_CHECK(tensor.dim() == 4, op, ": ", argument, " should have 4 dimensions, N,C,H,W, but is ",
                format(tensor.sym_sizes()));
    for (const int dimension : {2, 3}) {
        TORCH_SYM_CHECK(tensor.sym_size(dimension).sym_ge(1), op, ": ", argument,
                        " should have a height and width of at least 1 but is ", format(tensor.sym_sizes()));
    }
    check_elements(op, argument, tensor.sym_sizes());
    return tensor.sym_sizes().vec();
}

void check_alike(const std::string &op, const std::string &argument, const Tensor &tensor, const std::string &first,
                 const Tensor &like) {
    TORCH_CHECK(tensor.scalar_type() == like.scalar_type(), op, ": ", argument, " should be ", like.scalar_type(),
                " like ", first, " but is ", tensor.scalar_type());
    TORCH_CHECK(tensor.device() == like.device(), op, ": ", argument, " should be on ", like.device(), " like ", first,
                " but is on ", tensor.device());
}

void check_sizes(const std::string &op, const std::string &argument, const Sizes &actual, const Sizes &expected) {
    for (size_t i = 0; i < expected.size(); i++) {
        TORCH_SYM_CHECK(actual[i].sym_eq(expected[i]), op, ": ", argument, " should be ", format(expected), " but is ",
                        format(actual));
    }
}

void check_shape(const std::string &op, const std::string &argument, const Tensor &tensor, const Sizes &expected) {
    TORCH_CHECK(tensor.dim() == static_cast<int64_t>(expected.size()), op, ": ", argument, " should be ",
                format(expected), " but is ", format(tensor.sym_sizes()));
    check_sizes(op, argument, tensor.sym_sizes().vec(), expected);
}

void check_size(const std::string &op, const std::string &argument, c10::SymIntArrayRef size) {
    TORCH_CHECK(size.size() == 2, op, ": ", argument, " should be 2 integers but is ", format(size));
    for (const c10::SymInt &extent : size) {
        TORCH_SYM_CHECK(extent.sym_ge(1), op, ": ", argument, " should be at least [1, 1] but is ", format(size));
    }
}

namespace {

void check_parameters(const Weighted &op, const c10::SymInt &channels) {
    const std::vector<int64_t> built = kernels(op.family);
    const int64_t kernel = op.parameters.kernel, groups = op.parameters.groups;
    TORCH_CHECK(std::find(built.begin(), built.end(), kernel) != built.end(), op.name, ": kernel should be one of ",
                c10::IntArrayRef(built), " (those that were built) but is ", kernel);
    TORCH_CHECK(groups >= 1 && groups <= INT32_MAX, op.name, ": groups should be in 1 .. 2147483647 but is ", groups);
    TORCH_SYM_CHECK((channels % groups).sym_eq(0), op.name, ": groups should divide the ", channels,
                    " channels but is ", groups);
}

// Sizes that the weights of a problem have to have.
Sizes weight_sizes(const Weighted &op, const Sizes &map, const c10::SymInt &H, const c10::SymInt &W) {
    const int64_t taps = op.parameters.groups * op.parameters.kernel * op.parameters.kernel;
    return {map[0], taps, H, W};
}

}  // namespace

upwell::Tensor view(const Tensor &tensor) {
    const at::ScalarType type = tensor.scalar_type();
    const Dtype dtype = type == at::kFloat ? Dtype::Float32 : type == at::kInt ? Dtype::Int32 : Dtype::Float64;
    return {tensor.data_ptr(), dtype, tensor.sizes().vec(), tensor.strides().vec()};
}

namespace {

Argument to_argument(const Tensor &tensor) {
    return view(tensor);
}
Argument to_argument(int64_t integer) {
    return integer;
}
Argument to_argument(double real) {
    return real;
}

}  // namespace

void run_kernel_on(const std::string &name, const Tensor &like, const std::vector<Given> &arguments) {
    run_on_torch_threads();
    std::vector<Argument> list;
    for (const Given &argument : arguments) {
        std::visit([&](const auto &value) { list.emplace_back(to_argument(value)); }, argument);
    }
    run_kernel(name, like.scalar_type() == at::kFloat ? Dtype::Float32 : Dtype::Float64, list);
}

namespace {

// A new output, filled unless it is on the meta device.
Tensor call(const std::string &op, const Parameters &parameters, std::initializer_list<Tensor> inputs,
            c10::SymIntArrayRef sizes) {
    const Tensor &first = *inputs.begin();
    check_elements(op, "output", sizes);
    const Tensor output = at::empty_symint(sizes, first.options());
    if (first.is_meta()) {
        return output;
    }
    run_on_torch_threads();
    std::vector<Tensor> dense;
    std::vector<upwell::Tensor> views;
    for (const Tensor &input : inputs) {
        views.push_back(view(dense.emplace_back(input.contiguous())));
    }
    run(op, parameters, views, view(output));
    return output;
}

}  // namespace

Tensor weighted_forward(const Weighted &op, const Tensor &value, const Tensor &weights) {
    const Sizes map = check_map(op.name, "value", value);
    const Sizes given = check_map(op.name, op.weights, weights);
    check_alike(op.name, op.weights, weights, "value", value);
    check_parameters(op, map[1]);
    check_sizes(op.name, op.weights, given, weight_sizes(op, map, given[2], given[3]));
    return call(op.name, op.parameters, {value, weights}, Sizes{map[0], map[1], given[2], given[3]});
}

Tensor weighted_d_value(const Weighted &op, const Tensor &d_output, const Tensor &weights, const Size &low) {
    const Sizes map = check_map(op.name, "d_output", d_output);
    const Sizes given = check_map(op.name, op.weights, weights);
    check_alike(op.name, op.weights, weights, "d_output", d_output);
    check_parameters(op, map[1]);
    check_sizes(op.name, op.weights, given, weight_sizes(op, map, map[2], map[3]));
    check_size(op.name, "h, w", low);
    return call(op.name, op.parameters, {d_output, weights}, Sizes{map[0], map[1], low[0], low[1]});
}

Tensor weighted_d_weight(const Weighted &op, const Tensor &d_output, const Tensor &value, const Tensor &weights) {
    const Sizes map = check_map(op.name, "d_output", d_output);
    const Sizes low = check_map(op.name, "value", value);
    const Sizes given = check_map(op.name, op.weights, weights);
    check_alike(op.name, "value", value, "d_output", d_output);
    check_alike(op.name, op.weights, weights, "d_output", d_output);
    check_parameters(op, map[1]);
    check_sizes(op.name, "value", low, {map[0], map[1], low[2], low[3]});
    check_sizes(op.name, op.weights, given, weight_sizes(op, map, map[2], map[3]));
    return call(op.name, op.parameters, {d_output, value, weights}, given);
}

Tensor resample(const std::string &name, const std::string &argument, const Tensor &input, c10::SymIntArrayRef size) {
    const Sizes map = check_map(name, argument, input);
    check_size(name, "size", size);
    return call(name, {}, {input}, Sizes{map[0], map[1], size[0], size[1]});
}

}  // namespace upwell::bridge
