#include "operators/wrc_data.h"

#include "error.h"
#include "operator_call.h"
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

void wrc_data_backward(const Tensor &x, const Tensor &response, const Tensor &d_weight, const Tensor &d_weighted,
                      const Tensor &d_x, const Tensor &d_response, const Queue *queue) {
    Host(x.dtype, queue)
        .run("wrc_data_backward", {{"sample", elements("x", x)},
                                  {"response", elements("response", response)},
                                  {"d_weight", elements("d_weight", d_weight)},
                                  {"d_weighted", elements("d_weighted", d_weighted)},
                                  {"both.0", elements("d_x", d_x)},
                                  {"both.1", elements("d_response", d_response)}});
}

std::vector<Signature> describe_wrc_data() {
    Signature op{
        .name = "wrc_data",
        .doc = "Weighted reverse convolution (WRC, arXiv 2605.17472): the weight log1p(response^2) of each sample of x, and "
               "the weighted sample.",
        .inputs = {tensor("x", "N,C,h,w"), tensor("response", "N,C,h,w")},
        .options = {},
        .outputs = {{"weight", "N,C,h,w"}, {"weighted", "N,C,h,w"}},
        .run =
            [](Host &, const OperatorCall &c) {
                wrc_data(c.tensor("x"), c.tensor("response"), c.tensor("weight"), c.tensor("weighted"), c.queue);
            },
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature backward = add_backward(op, {"x", "response"}, [](Host &, const OperatorCall &c) {
        wrc_data_backward(c.tensor("x"), c.tensor("response"), c.tensor("d_weight"), c.tensor("d_weighted"),
                         c.tensor("d_x"), c.tensor("d_response"), c.queue);
    });
    return {op, backward};
}

}  // namespace upwell
