// Scores of a PCDC block, by name.
#include "error.h"
#include "operators/host_operators.h"
#include "operators/pcdc_scores.h"
#include "tensor.h"

namespace upwell {

void run_pcdc_scores(Named &arguments, const Queue *queue) {
    using namespace pcdc;
    const std::string &op = arguments.op();
    const auto take = [&](const char *name) { return arguments.tensor(name); };
    const ScoresInputs in{take("key"),         take("query"),           take("norm_weight"),   take("weight"),
                          take("bias"),        take("compress_weight"), take("compress_bias"), take("hidden_weight"),
                          take("hidden_bias"), take("score_weight"),    take("score_bias")};
    const Tensor &output = arguments.tensor("output");
    ScoresOptions options{arguments.integer("groups"),
                          arguments.integer("norm_groups"),
                          arguments.integer("relu", 1) != 0,
                          arguments.integer("blur", 0) != 0,
                          {}};
    const Ratio ratio{arguments.integer("row_high", 0), arguments.integer("row_low", 1),
                      arguments.integer("column_high", 0), arguments.integer("column_low", 1)};
    arguments.finish();
    if (ratio != Ratio{0, 1, 0, 1}) {
        for (const int64_t part : ratio) {
            if (part < 1 || part > INT32_MAX) {
                throw Error(op, "row_high",
                            "should be in 1 .. 2147483647, like row_low, column_high and column_low, but is " +
                                std::to_string(part));
            }
        }
        options.ratio = ratio;
    }
    const Dtype dtype = in.query.dtype;
    for (const auto &[name, tensor] :
         {std::pair{"key", &in.key}, {"query", &in.query}, {"weight", &in.weight}, {"output", &output}}) {
        check_tensor(op, name, *tensor, dtype);
        check_contiguous(op, name, *tensor);
    }
    const auto check_matrix = [&](const char *name, const Tensor &matrix) {
        if (matrix.sizes.size() != 2) {
            throw Error(op, name, "should have 2 dimensions but is " + format(matrix.sizes));
        }
    };
    check_matrix("compress_weight", in.compress_weight);
    check_matrix("score_weight", in.score_weight);
    const std::vector<int64_t> &high = in.query.sizes;
    const int64_t D = high[1], L = in.weight.sizes[0], K = in.weight.sizes[2], M = in.compress_weight.sizes[0],
                  S = in.score_weight.sizes[0];
    const auto divides = [&](const char *name, int64_t divisor, std::initializer_list<int64_t> all) {
        for (const int64_t channels : all) {
            if (divisor < 1 || channels < 1 || channels % divisor != 0) {
                throw Error(op, name,
                            "should divide " + std::to_string(channels) + " channels but is " +
                                std::to_string(divisor));
            }
        }
    };
    divides("groups", options.groups, {D, L, M});
    divides("norm_groups", options.norm_groups, {D, M});
    if (K % 2 == 0) {
        throw Error(op, "weight", "should have an odd kernel but is " + format(in.weight.sizes));
    }
    check_sizes(op, "key", in.key, options.ratio ? high : std::vector{high[0], D, in.key.sizes[2], in.key.sizes[3]});
    if (!options.ratio && options.blur) {
        throw Error(op, "blur", "needs a key of the query's size, and how far taps are apart");
    }
    check_sizes(op, "weight", in.weight, {L, D / options.groups, K, K});
    check_sizes(op, "output", output, {high[0], S, high[2], high[3]});
    const std::vector<std::tuple<const char *, const Tensor *, std::vector<int64_t>>> tables{
        {"norm_weight", &in.norm_weight, {D}},
        {"bias", &in.bias, {L}},
        {"compress_weight", &in.compress_weight, {M, L / options.groups}},
        {"compress_bias", &in.compress_bias, {M}},
        {"hidden_weight", &in.hidden_weight, {M}},
        {"hidden_bias", &in.hidden_bias, {M}},
        {"score_weight", &in.score_weight, {S, M}},
        {"score_bias", &in.score_bias, {S}}};
    for (const auto &[name, tensor, sizes] : tables) {
        check_table(op, name, *tensor, dtype, sizes);
    }
    if (overlap(in.key, output) || overlap(in.query, output)) {
        throw Error(op, "output", "should not share memory with key or query");
    }
    if (element_count(output) > 0) {
        Host host(dtype, queue);
        scores(host, in, options,
               {output, host.scratch({6, high[0], options.norm_groups}), host.scratch(coarse_sizes(in, options))});
    }
}

}  // namespace upwell
