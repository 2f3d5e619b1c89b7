#include "operators/wrc_data.h"

#include "error.h"
#include "operators/host_operators.h"
#include "tensor.h"

namespace upwell {
namespace {

// Kernels see the elements in their order in memory.
Tensor elements(const std::string &argument, const Tensor &map) {
    if (!is_contiguous(map)) {
        throw Error("wrc_data", argument, "should be contiguous, N,C,H,W");
    }
    return {map.data, map.dtype, {element_count(map)}, {}};
}

}  // namespace

void wrc_data(const Tensor &x, const Tensor &response, const Tensor &weight, const Tensor &weighted,
              const Queue *queue) {
    Host(x.dtype, queue)
        .run("wrc_data", {{"sample", elements("x", x)},
                          {"response", elements("response", response)},
                          {"both.0", elements("weight", weight)},
                          {"both.1", elements("weighted", weighted)}});
}

void wrc_data_adjoint(const Tensor &x, const Tensor &response, const Tensor &d_weight, const Tensor &d_weighted,
                      const Tensor &d_x, const Tensor &d_response, const Queue *queue) {
    Host(x.dtype, queue)
        .run("wrc_data_adjoint", {{"sample", elements("x", x)},
                                  {"response", elements("response", response)},
                                  {"d_weight", elements("d_weight", d_weight)},
                                  {"d_weighted", elements("d_weighted", d_weighted)},
                                  {"both.0", elements("d_x", d_x)},
                                  {"both.1", elements("d_response", d_response)}});
}

void run_wrc_data(Named &arguments, const Queue *queue) {
    const std::string &op = arguments.op();
    const Tensor &x = arguments.tensor("x"), &response = arguments.tensor("response"),
                 &weight = arguments.tensor("weight"), &weighted = arguments.tensor("weighted");
    arguments.finish();
    for (const auto &[name, tensor] :
         {std::pair{"x", &x}, {"response", &response}, {"weight", &weight}, {"weighted", &weighted}}) {
        check_tensor(op, name, *tensor, x.dtype);
        check_sizes(op, name, *tensor, x.sizes);
    }
    for (const auto &[name, output] : {std::pair{"weight", &weight}, {"weighted", &weighted}}) {
        if (overlap(x, *output) || overlap(response, *output)) {
            throw Error(op, name, "should not share memory with x or response");
        }
    }
    if (element_count(x) > 0) {
        wrc_data(x, response, weight, weighted, queue);
    }
}

}  // namespace upwell
