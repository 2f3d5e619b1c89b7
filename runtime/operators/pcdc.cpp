#include "operators/pcdc.h"

#include "operator_call.h"
#include "views.h"

namespace upwell::pcdc {
namespace {

// What both directions need.
struct Difference {
    Difference(Host &host, const DifferenceInputs &in, int64_t groups, const Ratio &ratio)
        : channels{in.query.sizes[0], groups, in.weight.sizes[1], in.weight.sizes[0] / groups,
                   padded_channels(in.weight.sizes[0] / groups, 1)},
          taps(host, in.weight, ratio),
          fold(host, channels, taps, in.bias.data ? in.bias : host.constant(0, {in.weight.sizes[0]}), {}),
          call(host, channels, in.key, in.query, fold.weights(), taps.offsets(), false) {}

    // N,L,H,W as kernels index it.
    Tensor phased(const Tensor &map) const { return call.tiling.phased(split(map, 1, channels.groups)); }

    const Channels channels;
    const Taps taps;
    const Fold fold;
    const Call call;
};

}  // namespace

void difference(Host &host, const DifferenceInputs &in, int64_t groups, const Ratio &ratio, const Tensor &output) {
    const Difference difference(host, in, groups, ratio);
    Arguments arguments;
    arguments.add("output", difference.phased(output));
    difference.call.run("", arguments);
}

void difference_backward(Host &host, const Tensor &d_output, const DifferenceInputs &in, int64_t groups,
                        const Ratio &ratio, const DifferenceInputs &d) {
    const Difference difference(host, in, groups, ratio);
    const auto &[fold, call, channels] = std::tie(difference.fold, difference.call, difference.channels);
    Arguments arguments;
    arguments.add("d_output", difference.phased(d_output), 0, 1);
    arguments.add("back_weight", fold.back(Fold::Columns::TapsAndQuery), 0, 1);
    const Backward found{host.scratch({channels.N, groups, call.columns().compressor(), channels.padded}), d.query,
                        d.key};
    call.run_backward("_backward", arguments, 0, found);
    const Fold::Found weights{found.weights, call.columns()};
    const Fold::Gradients gradients = fold.unfold(weights, weights, d.bias, {});
    difference.taps.gather(gradients.d_taps, gradients.d_sum, d.weight);
}

}  // namespace upwell::pcdc

namespace upwell {

std::vector<Signature> describe_pcdc() {
    using namespace pcdc;
    static const auto ratio_of = [](const OperatorCall &c) {
        return Ratio{c.integer("dilation_h"), 1, c.integer("dilation_w"), 1};
    };
    Signature op{
        .name = "pcdc",
        .doc = "Paired central difference convolution (ReSFU, arXiv 2407.02283, Eq. 11): conv(key, weight, dilation, groups, "
               "replicate border) - conv1x1(query, weight's sum over taps) + bias.",
        .inputs = {tensor("key", "N,D,H,W"), tensor("query", "N,D,H,W"), tensor("weight", "L,D/groups,K,K"),
                   optional_tensor("bias", "L")},
        .options = {integer("groups", 1, INT_MAX, 1),
                    integers("dilation", {"dilation_h", "dilation_w"}, 1, INT_MAX, 1)},
        .outputs = {{"output", "N,L,H,W"}},
        .run =
            [](Host &host, const OperatorCall &c) {
                difference(host, {c.tensor("key"), c.tensor("query"), c.tensor("weight"), c.tensor("bias")},
                           c.integer("groups"), ratio_of(c), c.tensor("output"));
            },
        .first = {"query"},
        .conditions = {{"1 <= D", "query", "should have at least one channel but is {query}"},
                       {"D%groups == 0", "groups", "should divide the {D} channels but is {groups}"},
                       {"L%groups == 0", "groups", "should divide the {L} outputs of weight but is {groups}"},
                       {"K%2 == 1", "weight", "should have an odd kernel but is {weight}"}},
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature backward = add_backward(op, {"key", "query", "weight"}, [](Host &host, const OperatorCall &c) {
        difference_backward(host, c.tensor("d_output"), {c.tensor("key"), c.tensor("query"), c.tensor("weight"), {}},
                           c.integer("groups"), ratio_of(c),
                           {c.tensor("d_key"), c.tensor("d_query"), c.tensor("d_weight"), c.tensor("d_bias")});
    });
    return {op, backward};
}

}  // namespace upwell
