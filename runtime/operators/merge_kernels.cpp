#include "operators/merge_kernels.h"

#include "error.h"
#include "operators/host_operators.h"
#include "tensor.h"

namespace upwell {

void merge_kernels(const Tensor &large, const Tensor &small, const Tensor &merged, const Queue *queue) {
    const std::string op = "merge_kernels";
    Host(large.dtype, queue)
        .run(op, {{"large", planes(op, "large", large)},
                  {"small", planes(op, "small", small)},
                  {"merged", planes(op, "merged", merged)}});
}

void run_merge_kernels(Named &arguments, const Queue *queue) {
    const std::string &op = arguments.op();
    const Tensor &large = arguments.tensor("large"), &small = arguments.tensor("small"),
                 &merged = arguments.tensor("merged");
    arguments.finish();
    for (const auto &[name, tensor] : {std::pair{"large", &large}, {"small", &small}, {"merged", &merged}}) {
        check_tensor(op, name, *tensor, large.dtype);
    }
    check_sizes(op, "small", small, {large.sizes[0], large.sizes[1], small.sizes[2], small.sizes[3]});
    check_sizes(op, "merged", merged, large.sizes);
    for (const int d : {2, 3}) {
        const int64_t margin = large.sizes[d] - small.sizes[d];
        if (margin < 0 || margin % 2 != 0) {
            throw Error(op, "small", "should be smaller than large " + format(large.sizes) +
                                         " by an even number of rows and columns but is " + format(small.sizes));
        }
    }
    if (overlap(large, merged) || overlap(small, merged)) {
        throw Error(op, "merged", "should not share memory with large or small");
    }
    if (element_count(merged) > 0) {
        merge_kernels(large, small, merged, queue);
    }
}

}  // namespace upwell
