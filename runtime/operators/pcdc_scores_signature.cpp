// What pcdc_scores takes and makes.
#include "operator_call.h"
#include "operators/pcdc_scores.h"

namespace upwell {
namespace {

using namespace pcdc;

constexpr int64_t most_keep_mib = 1023;  // in float64 they take twice as much, and kernels index 2 GiB

ScoresOptions options_of(const OperatorCall &c) {
    ScoresOptions options{c.integer("groups"), c.integer("norm_groups"), c.flag("relu"), c.flag("blur"), {}};
    if (c.flag("ratio")) {
        options.ratio = {c.integer("row_high"), c.integer("row_low"), c.integer("column_high"),
                         c.integer("column_low")};
    }
    return options;
}

// The inputs, or with a prefix their gradients.
ScoresInputs inputs_of(const OperatorCall &c, const std::string &prefix = "") {
    const auto at = [&](const char *name) { return c.tensor(prefix + name); };
    return {at("key"),         at("query"),           at("norm_weight"),   at("weight"),
            at("bias"),        at("compress_weight"), at("compress_bias"), at("hidden_weight"),
            at("hidden_bias"), at("score_weight"),    at("score_bias")};
}

ScoresOutputs outputs_of(const OperatorCall &c, const Tensor &scores) {
    return {scores, c.tensor("statistics"), c.tensor("coarse"), c.tensor("hidden")};
}

}  // namespace

std::vector<Signature> describe_pcdc_scores() {
    const std::string block = std::to_string(padded_channels(1, 0));  // channels are padded to multiples of it
    const auto divides = [](const std::string &divisor, const std::string &channels, const std::string &of) {
        return Condition{channels + "%" + divisor + " == 0", divisor,
                         "should divide the {" + channels + "} " + of + " but is {" + divisor + "}"};
    };
    const std::string padded = "(max(L,M)/groups+" + block + "-1)/" + block + "*" + block;
    // -1: those of a key that is a map, whose taps cost more than reading what was kept; an upsampled key's are found
    // anew about as fast.
    const std::string bytes = "max(0,0-keep_mib)*ratio*67108864+max(0,keep_mib)*1048576";
    // 1 or 0: whether the hidden channels, in float32, take at most so much.
    const std::string fits = "max(0,1-4*N*groups*(" + padded + ")*H*W/(" + bytes + "+1))";
    Signature op{
        .name = "pcdc_scores",
        .doc = "Scores of a PCDC block (ReSFU, arXiv 2407.02283, Sec. 4.2.2): GroupNorm of key and query (statistics "
               "of each its own, norm_weight shared; its bias would cancel), pcdc, ReLU (if relu), grouped 1x1 "
               "convolution, ReLU, GroupNorm, 1x1 convolution. ratio (row high, row low, column high, column low): the "
               "key is a map like the query, taps are high / low pixels apart; blur: of the key by the 3x3 Gaussian "
               "before anything else. No ratio: the key stands for its bilinear upsampling, taps are one of its pixels "
               "apart. keep_mib: the channels between the last ReLU and its GroupNorm are kept between passes, and for "
               "a backward pass, where they take at most so many MiB in float32; otherwise each pass finds them anew, "
               "with the same bits. -1: 64, or 0 without a ratio. On a GPU they are always found anew.",
        .inputs = {tensor("key", "N,D,h,w"), tensor("query", "N,D,H,W"), tensor("norm_weight", "D"),
                   tensor("weight", "L,D/groups,K,K"), flattened_tensor("bias", "L"),
                   flattened_tensor("compress_weight", "M,L/groups"), tensor("compress_bias", "M"),
                   tensor("hidden_weight", "M"), tensor("hidden_bias", "M"), flattened_tensor("score_weight", "S,M"),
                   tensor("score_bias", "S")},
        .options = {integer("groups"), integer("norm_groups"),
                    optional_sizes("ratio", {"row_high", "row_low", "column_high", "column_low"}), flag("relu", true),
                    flag("blur", false), integer("keep_mib", -1, most_keep_mib, -1)},
        .outputs = {{"output", "N,S,H,W"},
                    {"statistics", "6,N,norm_groups", true},  // mean and rstd of key, query and hidden channels
                    // What an upsampled key becomes at low resolution.
                    {"coarse", "N*(1-ratio),groups,h+2,w+2," + padded, true},
                    {"hidden", "N*" + fits + ",groups,H*W," + padded, true}},
        .run =
            [](Host &host, const OperatorCall &c) {
                scores(host, inputs_of(c), options_of(c), outputs_of(c, c.tensor("output")));
            },
        .first = {"query"},
        .conditions = {{"1 <= D", "query", "should have at least one channel but is {query}"},
                       {"blur <= ratio", "blur", "needs a key of the query's size, and how far taps are apart"},
                       {"ratio*(h-H) == 0", "key", "should be {query} but is {key}"},
                       {"ratio*(w-W) == 0", "key", "should be {query} but is {key}"},
                       divides("groups", "D", "channels of key and query"),
                       divides("groups", "L", "outputs of weight"),
                       divides("groups", "M", "outputs of compress_weight"),
                       divides("norm_groups", "D", "channels of key and query"),
                       divides("norm_groups", "M", "outputs of compress_weight"),
                       {"K%2 == 1", "weight", "should have an odd kernel but is {weight}"}},
        .autocast = Signature::Autocast::ToFloat,
    };
    std::vector<std::string> saved = input_names(op);
    saved.insert(saved.begin(), {"statistics", "coarse", "hidden"});
    Signature backward = add_backward(op, saved, [](Host &host, const OperatorCall &c) {
        scores_backward(host, c.tensor("d_output"), inputs_of(c), options_of(c), outputs_of(c, {}), inputs_of(c, "d_"));
    });
    return {op, backward};
}

}  // namespace upwell
