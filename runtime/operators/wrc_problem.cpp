#include "operators/wrc_problem.h"

namespace upwell {

Signature wrc_signature(const std::string &name, const std::string &doc) {
    const std::string empty = "should have at least one element but is {weight}",
                      large = "should be no larger than the {h*scale} x {w*scale} pixels of precision but is {weight}";
    return {
        .name = name,
        .doc = doc,
        .inputs = {tensor("precision", "N,C,h*scale,w*scale"), tensor("weighted", "N,C,h*scale,w*scale"),
                   tensor("data_weight", "N,C,h,w"), tensor("data", "N,C,h,w"), finite_tensor("weight", "C,KH,KW")},
        .options = {integer("scale", 1, INT_MAX - 1)},
        .outputs = {{"output", "N,C,h*scale,w*scale"}},
        .run = nullptr,
        .first = {"precision", "data"},
        .conditions = {{"1 <= KH", "weight", empty},
                       {"1 <= KW", "weight", empty},
                       {"KH <= h*scale", "weight", large},
                       {"KW <= w*scale", "weight", large}},
        .autocast = Signature::Autocast::ToFloat,
    };
}

WrcProblem wrc_problem(const OperatorCall &c) {
    return {c.tensor("precision"), c.tensor("data_weight"), c.tensor("data"), c.tensor("weight"), c.integer("scale")};
}

WrcGradients wrc_gradients(const OperatorCall &c) {
    return {c.tensor("d_precision"), c.tensor("d_weighted"), c.tensor("d_data_weight"), c.tensor("d_data"),
            c.tensor("d_weight")};
}

}  // namespace upwell
