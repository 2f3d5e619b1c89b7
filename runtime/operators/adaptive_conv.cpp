// The adaptive convolution of a joint bilateral upsampler.
#include "operator_call.h"
#include "operators/listed_taps.h"

namespace upwell {
namespace {

ListedTaps taps_of(Host &host, const OperatorCall &c) {
    const int64_t W = c.integer("W");
    return ListedTaps(host, Beyond::Reflect, square_of_offsets(c.integer("kernel") / 2), c.integer("H"), W, W);
}

const Condition is_odd{"kernel%2 == 1", "kernel", "should be odd but is {kernel}"};
const std::string map = "N,C,H,W", weights = "N,kernel*kernel,H,W";

}  // namespace

// Each of the three is linear in two tensors, and so a gradient of the others.
std::vector<Signature> describe_adaptive_conv() {
    using Rule = Gradient::Rule;
    Signature forward{
        .name = "adaptive_conv",
        .doc = "Convolution with a kernel of its own at every pixel (FeatUp, arXiv 2403.10516): each pixel is the sum "
               "of the "
               "K*K pixels around it, times weights; beyond the map it goes on in mirrors.",
        .inputs = {tensor("value", map), wide_tensor("weight", weights)},
        .options = {integer("kernel", 1)},
        .outputs = {{"output", map}},
        .run =
            [](Host &host, const OperatorCall &c) {
                taps_of(host, c).sum(c.tensor("value"), c.tensor("weight"), c.tensor("output"));
            },
        .conditions = {is_odd},
        .gradients = {{Rule::Call, {"value"}, "adaptive_conv_d_value"},
                      {Rule::Call, {"weight"}, "adaptive_conv_d_weight"}},
        .autocast = Signature::Autocast::ToNarrow,
    };
    Signature d_value{
        .name = "adaptive_conv_d_value",
        .doc = "The gradient of adaptive_conv by value.",
        .inputs = {tensor("d_output", map), wide_tensor("weight", weights)},
        .options = {integer("kernel", 1)},
        .outputs = {{"d_value", map}},
        .run =
            [](Host &host, const OperatorCall &c) {
                taps_of(host, c).d_value(c.tensor("weight"), c.tensor("d_output"), c.tensor("d_value"));
            },
        .conditions = {is_odd},
        .gradients = {{Rule::Call, {"d_output"}, "adaptive_conv", {{"value", "d_d_value"}}},
                      {Rule::Call, {"weight"}, "adaptive_conv_d_weight", {{"value", "d_d_value"}}}},
    };
    Signature d_weight{
        .name = "adaptive_conv_d_weight",
        .doc = "The gradient of adaptive_conv by weight.",
        .inputs = {tensor("d_output", map), tensor("value", map)},
        .options = {integer("kernel", 1)},
        .outputs = {{"d_weight", weights}},
        .run =
            [](Host &host, const OperatorCall &c) {
                taps_of(host, c).d_weight(c.tensor("value"), c.tensor("d_output"), c.tensor("d_weight"));
            },
        .conditions = {is_odd},
        .gradients = {{Rule::Call, {"d_output"}, "adaptive_conv", {{"weight", "d_d_weight"}}},
                      {Rule::Call, {"value"}, "adaptive_conv_d_value", {{"weight", "d_d_weight"}}}},
    };
    d_weight.outputs[0].is_wide = true;
    return {forward, d_value, d_weight};
}

}  // namespace upwell
