// Check, allocate, call.
#include "kernel.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include <ATen/ops/empty.h>

#include "in_float.h"
#include "queue.h"
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
    TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble || is_16_bit(tensor), op,
                ": ", argument, " should be float32, float64, float16 or bfloat16 but is ", tensor.scalar_type());
    TORCH_CHECK(tensor.is_cpu() || tensor.is_cuda() || tensor.is_meta(), op, ": ", argument,
                " should be on a CPU or a CUDA device but is on ", tensor.device());
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
    check_device(op, argument, tensor, first, like);
}

void check_device(const std::string &op, const std::string &argument, const Tensor &tensor, const std::string &first,
                  const Tensor &like) {
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

void check_finite(const std::string &op, const std::string &argument, const Tensor &tensor) {
    // A sum is found much faster than every element looked at; finite elements may overflow it.
    const auto all_finite = [&] {
        return std::isfinite(tensor.sum().item<double>()) || tensor.isfinite().all().item<bool>();
    };
    TORCH_CHECK(!tensor.is_cpu() || all_finite(), op, ": ", argument,
                " should be finite but has an element that is infinite or nan");
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

Dtype dtype_of(at::ScalarType type) {
    switch (type) {
    case at::kFloat:
        return Dtype::Float32;
    case at::kHalf:
        return Dtype::Float16;
    case at::kBFloat16:
        return Dtype::BFloat16;
    case at::kInt:
        return Dtype::Int32;
    default:
        return Dtype::Float64;
    }
}

}  // namespace

upwell::Tensor view(const Tensor &tensor) {
    return {tensor.data_ptr(), dtype_of(tensor.scalar_type()), tensor.sizes().vec(), tensor.strides().vec()};
}

namespace {

Argument to_argument(const Tensor &tensor) {
    TORCH_INTERNAL_ASSERT(tensor.dim() == 0 || tensor.size(-1) <= 1 || tensor.stride(-1) == 1,
                          "kernels read elements that lie side by side");
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
    const CallQueue queue(like);
    run_kernel(name, dtype_of(like.scalar_type()), list, queue.get());
}

namespace {

// A call of an operator of the reassembly family. Maps and weights may differ in dtype: beside maps of 16 bits weights
// are float32, or of those 16 bits, and then converted. Kernels for the CPU have float32 in place of 16 bits.
class Call {
public:
    Call(const std::string &op, const Parameters &parameters, const Tensor &map)
        : op(op), parameters(parameters), like(map),
          stored(is_16_bit(map) && !runs_on_gpu(map) ? at::kFloat : map.scalar_type()),
          wide(is_16_bit(map) ? at::kFloat : map.scalar_type()) {
        add_map(map);
    }

    void add_map(const Tensor &map) { add(map, stored); }
    void add_weights(const Tensor &weights) { add(weights, wide); }

    // A new map or gradient of weights, filled unless it is on the meta device.
    Tensor make_map(c10::SymIntArrayRef sizes) { return make(sizes, stored, like.scalar_type()); }
    Tensor make_weights(c10::SymIntArrayRef sizes, at::ScalarType type) { return make(sizes, wide, type); }

private:
    void add(const Tensor &input, at::ScalarType type) {
        if (!like.is_meta()) {
            inputs.push_back(input.to(type).contiguous());
        }
    }

    Tensor make(c10::SymIntArrayRef sizes, at::ScalarType computed, at::ScalarType wanted) {
        check_elements(op, "output", sizes);
        const Tensor output = at::empty_symint(sizes, like.options().dtype(like.is_meta() ? wanted : computed));
        if (like.is_meta()) {
            return output;
        }
        if (inputs[0].size(1) == 0) {  // a sum over no channels
            return output.zero_().to(wanted);
        }
        run_on_torch_threads();
        std::vector<upwell::Tensor> views;
        for (const Tensor &input : inputs) {
            views.push_back(view(input));
        }
        const CallQueue queue(like);
        run(op, parameters, views, view(output), queue.get());
        return output.to(wanted);
    }

    const std::string &op;
    const Parameters &parameters;
    const Tensor &like;
    const at::ScalarType stored, wide;
    std::vector<Tensor> inputs;
};

// float32 beside maps of 16 bits, else as the maps are.
void check_weights(const Weighted &op, const Tensor &weights, const std::string &first, const Tensor &map) {
    if (is_16_bit(map) && weights.scalar_type() == at::kFloat) {
        check_device(op.name, op.weights, weights, first, map);
    } else {
        check_alike(op.name, op.weights, weights, first, map);
    }
}

}  // namespace

Tensor weighted_forward(const Weighted &op, const Tensor &value, const Tensor &weights) {
    const Sizes map = check_map(op.name, "value", value);
    const Sizes given = check_map(op.name, op.weights, weights);
    check_weights(op, weights, "value", value);
    check_parameters(op, map[1]);
    check_sizes(op.name, op.weights, given, weight_sizes(op, map, given[2], given[3]));
    Call call(op.name, op.parameters, value);
    call.add_weights(weights);
    return call.make_map(Sizes{map[0], map[1], given[2], given[3]});
}

Tensor weighted_d_value(const Weighted &op, const Tensor &d_output, const Tensor &weights, const Size &low) {
    const Sizes map = check_map(op.name, "d_output", d_output);
    const Sizes given = check_map(op.name, op.weights, weights);
    check_weights(op, weights, "d_output", d_output);
    check_parameters(op, map[1]);
    check_sizes(op.name, op.weights, given, weight_sizes(op, map, map[2], map[3]));
    check_size(op.name, "h, w", low);
    Call call(op.name, op.parameters, d_output);
    call.add_weights(weights);
    return call.make_map(Sizes{map[0], map[1], low[0], low[1]});
}

Tensor weighted_d_weight(const Weighted &op, const Tensor &d_output, const Tensor &value, const Tensor &weights) {
    const Sizes map = check_map(op.name, "d_output", d_output);
    const Sizes low = check_map(op.name, "value", value);
    const Sizes given = check_map(op.name, op.weights, weights);
    check_alike(op.name, "value", value, "d_output", d_output);
    check_weights(op, weights, "d_output", d_output);
    check_parameters(op, map[1]);
    check_sizes(op.name, "value", low, {map[0], map[1], low[2], low[3]});
    check_sizes(op.name, op.weights, given, weight_sizes(op, map, map[2], map[3]));
    Call call(op.name, op.parameters, d_output);
    call.add_map(value);
    call.add_weights(weights);
    return call.make_weights(given, weights.scalar_type());
}

Tensor resample(const std::string &name, const std::string &argument, const Tensor &input, c10::SymIntArrayRef size,
                Scale scale_h, Scale scale_w) {
    const Sizes map = check_map(name, argument, input);
    check_size(name, "size", size);
    for (const auto &[axis, scale] : {std::pair{"scale_h", scale_h}, {"scale_w", scale_w}}) {
        TORCH_CHECK(!scale || (*scale > 0 && std::isfinite(*scale)), name, ": ", axis,
                    " should be positive and finite but is ", *scale);
    }
    Parameters parameters;
    parameters.scale = {scale_h.value_or(0), scale_w.value_or(0)};
    return Call(name, parameters, input).make_map(Sizes{map[0], map[1], size[0], size[1]});
}

}  // namespace upwell::bridge
