#include "operators/merge_kernels.h"

#include "operator_call.h"

namespace upwell {

void merge_kernels(const Tensor &large, const Tensor &small, const Tensor &merged, const Queue *queue) {
    const std::string op = "merge_kernels";
    Host(large.dtype, queue)
        .run(op, {{"large", planes(op, "large", large)},
                  {"small", planes(op, "small", small)},
                  {"merged", planes(op, "merged", merged)}});
}

std::vector<Signature> describe_merge_kernels() {
    const std::string message = "should be smaller than large {large} by an even number of rows and columns but is {small}";
    return {{
        .name = "merge_kernels",
        .doc = "A large kernel plus a small one at its centre; their sizes differ by even numbers.",
        .inputs = {finite_tensor("large", "A,B,KH,KW"), finite_tensor("small", "A,B,kh,kw")},
        .options = {},
        .outputs = {{"merged", "A,B,KH,KW"}},
        .run =
            [](Host &, const OperatorCall &c) {
                merge_kernels(c.tensor("large"), c.tensor("small"), c.tensor("merged"), c.queue);
            },
        .conditions = {{"kh <= KH", "small", message},
                       {"kw <= KW", "small", message},
                       {"(KH-kh)%2 == 0", "small", message},
                       {"(KW-kw)%2 == 0", "small", message}},
        .gradients = {{Gradient::Rule::Same, {"large"}}, {Gradient::Rule::Centre, {"small"}}},
        .autocast = Signature::Autocast::ToNarrow,
    }};
}

}  // namespace upwell
