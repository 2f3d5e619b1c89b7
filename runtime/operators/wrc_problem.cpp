#include "operators/wrc_problem.h"

#include "error.h"
#include "tensor.h"
#include "views.h"

namespace upwell {
namespace {

void check_kernel(const std::string &op, const WrcProblem &problem, const Queue *queue) {
    const Tensor &kernel = problem.kernel;
    const std::vector<int64_t> &high = problem.precision.sizes;
    if (kernel.sizes.size() != 3) {
        throw Error(op, "kernel", "should have 3 dimensions, C,KH,KW, but is " + format(kernel.sizes));
    }
    check_sizes(op, "kernel", kernel, {high[1], kernel.sizes[1], kernel.sizes[2]});
    if (kernel.sizes[1] < 1 || kernel.sizes[2] < 1 || kernel.sizes[1] > high[2] || kernel.sizes[2] > high[3]) {
        throw Error(op, "kernel",
                    "should have from 1 x 1 elements to the " + std::to_string(high[2]) + " x " +
                        std::to_string(high[3]) + " of precision but is " + format(kernel.sizes));
    }
    if (!kernel.strides.empty() && kernel.strides != strides_of(reshaped(kernel, kernel.sizes))) {
        throw Error(op, "kernel", "should be contiguous, C,KH,KW");
    }
    check_tensor(op, "kernel", reshaped(kernel, {1, high[1], kernel.sizes[1], kernel.sizes[2]}),
                 problem.precision.dtype);
    if (!queue) {
        check_finite(op, "kernel", kernel);
    }
}

}  // namespace

WrcCall take_wrc_call(Named &arguments) {
    WrcCall call;
    call.problem.precision = arguments.tensor("precision");
    call.weighted = arguments.tensor("weighted");
    call.problem.data_weight = arguments.tensor("data_weight");
    call.problem.data = arguments.tensor("data");
    call.problem.kernel = arguments.tensor("kernel");
    call.problem.scale = arguments.integer("scale");
    call.output = arguments.tensor("output");
    return call;
}

void check_wrc_call(const std::string &op, const WrcCall &call, const Queue *queue) {
    const auto &[precision, data_weight, data, kernel, scale] = call.problem;
    if (precision.dtype != Dtype::Float32 && precision.dtype != Dtype::Float64) {
        throw Error(op, "precision", std::string("should be float32 or float64 but is ") + name(precision.dtype));
    }
    check_range(op, "scale", scale, 1, INT32_MAX - 1);
    const auto check_map = [&](const char *name, const Tensor &map, const std::vector<int64_t> &sizes) {
        check_tensor(op, name, map, precision.dtype);
        check_sizes(op, name, map, sizes);
        planes(op, name, map);  // refuses what is not contiguous
    };
    check_map("data", data, data.sizes);
    check_map("data_weight", data_weight, data.sizes);
    const std::vector<int64_t> high{data.sizes[0], data.sizes[1], data.sizes[2] * scale, data.sizes[3] * scale};
    check_map("precision", precision, high);
    check_map("weighted", call.weighted, high);
    check_map("output", call.output, high);
    check_kernel(op, call.problem, queue);
    const Tensor taps = reshaped(kernel, {1, kernel.sizes[0], kernel.sizes[1], kernel.sizes[2]});
    for (const Tensor *input : {&precision, &call.weighted, &data_weight, &data, &taps}) {
        if (overlap(*input, call.output)) {
            throw Error(op, "output", "should not share memory with an input");
        }
    }
}

}  // namespace upwell
