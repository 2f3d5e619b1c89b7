// Scores of a PCDC block: group normalisation, difference, compressor, group normalisation, compressor.
#include <algorithm>
#include <array>

#include <ATen/TensorOperators.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "../pad.h"
#include "../per_channel.h"
#include "pcdc_core.h"
#include "pcdc_spread.h"

namespace upwell::bridge::pcdc {
namespace {

constexpr double norm_eps = 1e-5;  // torch's own

using TensorVector = std::vector<Tensor>;

// Of a call with taps: rows' high and low, columns' high and low; taps are high / low pixels apart. Symbolic while
// torch traces, so that what it exports holds for every size.
using Ratio = at::OptionalSymIntArrayRef;

std::vector<int64_t> known(c10::SymIntArrayRef ratio) {
    return C10_AS_INTARRAYREF_SLOW(ratio).vec();
}

void check_ratio(const char *op, c10::SymIntArrayRef ratio) {
    const auto fits = [](const c10::SymInt &part) {
        const std::optional<int64_t> integer = part.maybe_as_int();
        return !integer || (*integer >= 1 && *integer <= INT32_MAX);
    };
    TORCH_CHECK(ratio.size() == 4 && std::all_of(ratio.begin(), ratio.end(), fits), op,
                ": ratio should be 4 integers in 1 .. 2147483647, rows' high and low, columns' high and low, but is ",
                format(ratio));
}

constexpr std::array<const char *, 13> names{
    "key",           "query",       "query_centre", "query_weight", "bias",       "compress_weight", "compress_bias",
    "hidden_weight", "hidden_bias", "score_weight", "score_bias",   "key_centre", "key_weight"};

// Centres are constants: in a list of gradients they have an empty tensor.
bool is_centre(size_t i) {
    return i == 2 || i == 11;
}

void check_inputs(const char *op, at::TensorList in, int64_t groups, int64_t norm_groups, Ratio ratio) {
    const size_t count = ratio ? 13 : 11;
    TORCH_CHECK(in.size() == count, op, ": inputs should be ", count, " tensors ", ratio ? "with" : "without",
                " a ratio but are ", in.size());
    if (ratio) {
        check_ratio(op, *ratio);
    }
    const Sizes query = check_map(op, "query", in[1]), key = check_map(op, "key", in[0]);
    for (size_t i = 0; i < in.size(); i++) {
        check_alike(op, names[i], in[i], "query", in[1]);
    }
    TORCH_CHECK(in[3].dim() == 3, op, ": query_weight should have 3 dimensions, N,L,D/groups, but is ",
                format(in[3].sym_sizes()));
    TORCH_CHECK(in[5].dim() == 2, op, ": compress_weight should have 2 dimensions, M,L/groups, but is ",
                format(in[5].sym_sizes()));
    TORCH_CHECK(in[9].dim() == 2, op, ": score_weight should have 2 dimensions, K,M, but is ",
                format(in[9].sym_sizes()));
    const c10::SymInt N = query[0], D = query[1], L = in[3].sym_size(1), M = in[5].sym_size(0), K = in[9].sym_size(0);
    const bool upsampled = !ratio;
    TORCH_CHECK(upsampled || in[12].dim() == 5, op, ": key_weight should have 5 dimensions, N,L,D/groups,K,K, but is ",
                format(in.back().sym_sizes()));
    check_convolution(op, groups, D, L);
    TORCH_CHECK(norm_groups >= 1, op, ": norm_groups should be at least 1 but is ", norm_groups);
    for (const int64_t divisor : {groups, norm_groups}) {
        TORCH_SYM_CHECK((M % divisor).sym_eq(0), op, ": groups and norm_groups should divide the ", M,
                        " outputs of compress_weight but are ", groups, " and ", norm_groups);
    }
    const c10::SymInt E = D / groups, taps = upsampled ? c10::SymInt(0) : in[12].sym_size(4);
    const std::array<Sizes, 13> expected{upsampled ? Sizes{N, L, key[2], key[3]} : query,
                                         query,
                                         Sizes{N, D},
                                         Sizes{N, L, E},
                                         Sizes{N, L},
                                         Sizes{M, L / groups},
                                         Sizes{M},
                                         Sizes{M},
                                         Sizes{M},
                                         Sizes{K, M},
                                         Sizes{K},
                                         Sizes{N, D},
                                         Sizes{N, L, E, taps, taps}};
    for (size_t i = 0; i < in.size(); i++) {
        check_shape(op, names[i], in[i], expected[i]);
    }
    if (upsampled) {
        TORCH_SYM_CHECK(key[2].sym_ge(3), op, ": key should have a cell around its border but is ", format(key));
        TORCH_SYM_CHECK(key[3].sym_ge(3), op, ": key should have a cell around its border but is ", format(key));
    }
}

// The options for the kernels; the taps of `in` become those at whole pixels.
CoreOptions spread(CoreInputs &in, int64_t groups, int64_t norm_groups, bool relu, bool blur, Ratio ratio) {
    CoreOptions options{groups, norm_groups, relu, blur, {}, {}};
    if (ratio) {
        Spread taps = spread_taps(in.key_weight, known(*ratio));
        in.key_weight = taps.weight;
        options.tap_rows = std::move(taps.rows);
        options.tap_columns = std::move(taps.columns);
    }
    return options;
}

// scores, and mean and rstd of the hidden channels.
TensorVector forward(at::TensorList inputs, int64_t groups, int64_t norm_groups, bool relu, bool blur, Ratio ratio) {
    check_inputs("pcdc_core", inputs, groups, norm_groups, ratio);
    CoreInputs in(inputs);
    const c10::SymInt N = in.query.sym_size(0);
    if (in.query.is_meta() || in.query.numel() == 0) {
        const auto options = in.query.options();
        const Tensor mean = at::empty_symint({N, c10::SymInt(norm_groups)}, options);
        return {at::empty_symint({N, in.score_weight.sym_size(0), in.query.sym_size(2), in.query.sym_size(3)}, options),
                mean, at::empty_like(mean)};
    }
    const CoreOptions options = spread(in, groups, norm_groups, relu, blur, ratio);
    const CoreOutputs out = core_forward(in, options);
    return {out.scores, out.mean, out.rstd};
}

TensorVector backward(const Tensor &d_scores, const Tensor &mean, const Tensor &rstd, at::TensorList inputs,
                      int64_t groups, int64_t norm_groups, bool relu, bool blur, Ratio ratio) {
    const char *op = "pcdc_core_backward";
    check_inputs(op, inputs, groups, norm_groups, ratio);
    CoreInputs in(inputs);
    const c10::SymInt N = in.query.sym_size(0);
    for (const auto &[name, statistic] : {std::pair{"mean", &mean}, {"rstd", &rstd}}) {
        check_alike(op, name, *statistic, "query", in.query);
        check_shape(op, name, *statistic, {N, c10::SymInt(norm_groups)});
    }
    check_alike(op, "d_scores", d_scores, "query", in.query);
    check_shape(op, "d_scores", d_scores, {N, in.score_weight.sym_size(0), in.query.sym_size(2), in.query.sym_size(3)});
    TensorVector result;
    if (in.query.is_meta() || in.query.numel() == 0) {
        for (size_t i = 0; i < inputs.size(); i++) {
            const Sizes sizes = is_centre(i) ? Sizes{c10::SymInt(0)} : inputs[i].sym_sizes().vec();
            result.push_back(at::empty_symint(sizes, inputs[i].options()).zero_());
        }
        return result;
    }
    const CoreOptions options = spread(in, groups, norm_groups, relu, blur, ratio);
    result = core_backward(d_scores, mean, rstd, in, options);
    if (ratio) {
        result.back() = gather_taps(result.back(), inputs.back().size(4), known(*ratio));
    }
    for (size_t i = 0; i < result.size(); i++) {
        if (!result[i].defined()) {  // a schema's list has no gaps
            result[i] = at::empty_symint({0}, d_scores.options());
        }
    }
    return result;
}

TensorVector call_core(at::TensorList inputs, int64_t groups, int64_t norm_groups, bool relu, bool blur, Ratio ratio) {
    static const auto op = find_torch_operator<decltype(forward)>("upwell::pcdc_core");
    return op.call(inputs, groups, norm_groups, relu, blur, ratio);
}

TensorVector call_core_backward(const Tensor &d_scores, const Tensor &mean, const Tensor &rstd, at::TensorList inputs,
                                int64_t groups, int64_t norm_groups, bool relu, bool blur, Ratio ratio) {
    static const auto op = find_torch_operator<decltype(backward)>("upwell::pcdc_core_backward");
    return op.call(d_scores, mean, rstd, inputs, groups, norm_groups, relu, blur, ratio);
}

Ratio as_reference(const std::optional<Sizes> &ratio) {
    return ratio ? Ratio(c10::SymIntArrayRef(*ratio)) : std::nullopt;
}

class Core : public torch::autograd::Function<Core> {
public:
    static constexpr bool is_traceable = true;

    static variable_list forward(AutogradContext *context, at::TensorList inputs, int64_t groups, int64_t norm_groups,
                                 bool relu, bool blur, Ratio ratio) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        TensorVector outputs = call_core(inputs, groups, norm_groups, relu, blur, ratio);
        TensorVector saved = inputs.vec();
        saved.push_back(outputs[1]);
        saved.push_back(outputs[2]);
        context->save_for_backward(saved);
        context->mark_non_differentiable({outputs[1], outputs[2]});
        context->saved_data["options"] = std::make_tuple(groups, norm_groups, relu, blur);
        if (ratio) {
            context->saved_data["ratio"] = *ratio;
        }
        return outputs;
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        TensorVector saved = context->get_saved_variables();
        variable_list result(saved.size() - 2 + 5);
        if (!gradients[0].defined()) {
            return result;
        }
        const auto [groups, norm_groups, relu, blur] =
            context->saved_data["options"].to<std::tuple<int64_t, int64_t, bool, bool>>();
        std::optional<Sizes> ratio;
        if (const auto kept = context->saved_data.find("ratio"); kept != context->saved_data.end()) {
            ratio = kept->second.toSymIntVector();
        }
        const Tensor rstd = saved.back(), mean = saved[saved.size() - 2];
        saved.resize(saved.size() - 2);
        const TensorVector d =
            call_core_backward(gradients[0], mean, rstd, saved, groups, norm_groups, relu, blur, as_reference(ratio));
        for (size_t i = 0; i < d.size(); i++) {
            result[i] = is_centre(i) ? Tensor() : d[i];
        }
        return result;
    }
};

TensorVector differentiable(at::TensorList inputs, int64_t groups, int64_t norm_groups, bool relu, bool blur,
                            Ratio ratio) {
    return Core::apply(inputs, groups, norm_groups, relu, blur, ratio);
}

struct Block {
    const Tensor &key, &query, &norm_weight, &weight, &bias, &compress_weight, &compress_bias, &hidden_weight,
        &hidden_bias, &score_weight, &score_bias;
    int64_t groups, norm_groups;
    bool relu, blur;
};

void check_divides(const char *name, int64_t divisor, const char *of, const c10::SymInt &channels) {
    TORCH_CHECK(divisor >= 1, "pcdc_scores: ", name, " should be at least 1 but is ", divisor);
    TORCH_SYM_CHECK((channels % divisor).sym_eq(0), "pcdc_scores: ", name, " should divide the ", channels, " ", of,
                    " but is ", divisor);
}

void check_parameter(const char *name, const Tensor &parameter, const Tensor &query, const Sizes &sizes) {
    check_alike("pcdc_scores", name, parameter, "query", query);
    TORCH_CHECK(parameter.dim() == static_cast<int64_t>(sizes.size()), "pcdc_scores: ", name, " should be ",
                format(sizes), " but is ", format(parameter.sym_sizes()));
    check_sizes("pcdc_scores", name, parameter.sym_sizes().vec(), sizes);
}

void check(const Block &b, bool upsampled) {
    const Sizes query = check_map("pcdc_scores", "query", b.query), key = check_map("pcdc_scores", "key", b.key);
    TORCH_SYM_CHECK(query[1].sym_ge(1), "pcdc_scores: query should have at least one channel but is ", format(query));
    check_alike("pcdc_scores", "key", b.key, "query", b.query);
    check_sizes("pcdc_scores", "key", key, upsampled ? Sizes{query[0], query[1], key[2], key[3]} : query);
    TORCH_CHECK(b.weight.dim() == 4, "pcdc_scores: weight should have 4 dimensions, L,D/groups,K,K, but is ",
                format(b.weight.sym_sizes()));
    TORCH_CHECK(b.compress_weight.dim() >= 2 && b.score_weight.dim() >= 2,
                "pcdc_scores: compress_weight and score_weight should have outputs and inputs as their first two "
                "dimensions but are ",
                format(b.compress_weight.sym_sizes()), " and ", format(b.score_weight.sym_sizes()));
    const c10::SymInt L = b.weight.sym_size(0), M = b.compress_weight.sym_size(0), K = b.weight.sym_size(2),
                      scores = b.score_weight.sym_size(0);
    check_elements("pcdc_scores", "output", Sizes{query[0], scores, query[2], query[3]});
    check_divides("groups", b.groups, "channels of key and query", query[1]);
    check_divides("groups", b.groups, "outputs of weight", L);
    check_divides("groups", b.groups, "outputs of compress_weight", M);
    check_divides("norm_groups", b.norm_groups, "channels of key and query", query[1]);
    check_divides("norm_groups", b.norm_groups, "outputs of compress_weight", M);
    TORCH_SYM_CHECK((K % 2).sym_eq(1), "pcdc_scores: weight should have an odd kernel but is ",
                    format(b.weight.sym_sizes()));
    check_parameter("weight", b.weight, b.query, {L, query[1] / b.groups, K, K});
    check_parameter("norm_weight", b.norm_weight, b.query, {query[1]});
    check_parameter("bias", b.bias.flatten(), b.query, {L});
    check_parameter("compress_weight", b.compress_weight.flatten(1), b.query, {M, L / b.groups});
    check_parameter("compress_bias", b.compress_bias, b.query, {M});
    check_parameter("hidden_weight", b.hidden_weight, b.query, {M});
    check_parameter("hidden_bias", b.hidden_bias, b.query, {M});
    check_parameter("score_weight", b.score_weight.flatten(1), b.query, {scores, M});
    check_parameter("score_bias", b.score_bias, b.query, {scores});
}

// The normalisation of one of the maps folded into weights [L, D/G, ...] -> [N, L, D/G, ...].
Tensor fold(const Tensor &weight, const Tensor &rstd, const Block &b) {
    const Tensor scale = per_channel(rstd, b.query.sym_size(1)) * b.norm_weight;  // N,D
    const Tensor grouped = scale.unflatten(1, {b.groups, -1}).unsqueeze(2);       // N,G,1,D/G
    const Tensor weights = weight.unflatten(0, {b.groups, -1}).unsqueeze(0);      // 1,G,L/G,D/G,...
    return (weights.dim() > 4 ? weights * grouped.unsqueeze(4) : weights * grouped).flatten(1, 2);
}

// What a change of the mean does to the difference: with the map centred by the mean of now its value is 0.
Tensor shift_of_mean(const Tensor &mean, const Tensor &weight, const Block &b) {
    const Tensor moved = per_channel(mean.detach() - mean, b.query.sym_size(1)).unflatten(1, {b.groups, -1});
    const Tensor sums = (weight.dim() > 3 ? weight.sum(3) : weight).unflatten(1, {b.groups, -1});  // N,G,L/G,D/G
    return (sums * moved.unsqueeze(2)).sum(3).flatten(1, 2);
}

Tensor run(const Block &b, const TensorVector &difference, const TensorVector &key, Ratio ratio) {
    TensorVector inputs = difference;  // key, query, query_centre, query_weight, bias
    for (const Tensor &tensor : {b.compress_weight.flatten(1), b.compress_bias, b.hidden_weight, b.hidden_bias,
                                 b.score_weight.flatten(1), b.score_bias}) {
        inputs.push_back(tensor);
    }
    inputs.insert(inputs.end(), key.begin(), key.end());
    return call_core(inputs, b.groups, b.norm_groups, b.relu, b.blur, ratio)[0];
}

// The key is a map like the query, taps one ratio apart.
Tensor scores_of_map(const Block &b, c10::SymIntArrayRef ratio) {
    const auto [key_mean, key_rstd] = ops::group_stats(b.key, b.norm_groups, norm_eps, b.blur);
    const auto [query_mean, query_rstd] = ops::group_stats(b.query, b.norm_groups, norm_eps, false);
    const c10::SymInt D = b.query.sym_size(1);
    const Tensor key_weight = fold(b.weight.flatten(2), key_rstd, b);
    const Tensor query_weight = fold(-b.weight.sum({2, 3}), query_rstd, b);
    const Tensor bias =
        b.bias.flatten() + shift_of_mean(key_mean, key_weight, b) + shift_of_mean(query_mean, query_weight, b);
    return run(b, {b.key, b.query, per_channel(query_mean.detach(), D), query_weight, bias},
               {per_channel(key_mean.detach(), D), key_weight.unflatten_symint(3, {b.weight.sym_size(2), -1})}, ratio);
}

// The key is the bilinear upsampling of a low-res map, taps one low-res pixel apart: the upsampling of a convolution.
Tensor scores_of_upsampled(const Block &b) {
    const std::array<c10::SymInt, 2> size{b.query.sym_size(2), b.query.sym_size(3)};
    const auto [key_mean, key_rstd] = ops::upsampled_group_stats(b.key, size, b.norm_groups, norm_eps);
    const auto [query_mean, query_rstd] = ops::group_stats(b.query, b.norm_groups, norm_eps, false);
    const c10::SymInt D = b.query.sym_size(1);
    const Tensor scale = per_channel(key_rstd, D) * b.norm_weight;
    const auto map = [](const Tensor &x) { return x.unsqueeze(2).unsqueeze(3); };
    const Tensor normal = (b.key - map(per_channel(key_mean, D))) * map(scale);
    const int64_t around = b.weight.size(2) / 2 + 1;
    const Tensor convolved = at::convolution(replicate_pad(normal, around, around), b.weight, {}, {1, 1}, {0, 0},
                                             {1, 1}, false, {0, 0}, b.groups);
    const Tensor query_weight = fold(-b.weight.sum({2, 3}), query_rstd, b);
    const Tensor bias = b.bias.flatten() + shift_of_mean(query_mean, query_weight, b);
    return run(b, {convolved, b.query, per_channel(query_mean.detach(), D), query_weight, bias}, {}, std::nullopt);
}

Tensor pcdc_scores(const Tensor &key, const Tensor &query, const Tensor &norm_weight, const Tensor &weight,
                   const Tensor &bias, const Tensor &compress_weight, const Tensor &compress_bias,
                   const Tensor &hidden_weight, const Tensor &hidden_bias, const Tensor &score_weight,
                   const Tensor &score_bias, int64_t groups, int64_t norm_groups, at::OptionalSymIntArrayRef ratio,
                   bool relu, bool blur) {
    const Block block{key,           query,         norm_weight, weight,       bias,       compress_weight,
                      compress_bias, hidden_weight, hidden_bias, score_weight, score_bias, groups,
                      norm_groups,   relu,          blur};
    check(block, !ratio);
    if (ratio) {
        check_ratio("pcdc_scores", *ratio);
    }
    TORCH_CHECK(ratio || !blur, "pcdc_scores: blur needs a key of the query's size");
    return ratio ? scores_of_map(block, *ratio) : scores_of_upsampled(block);
}

void implement(torch::Library &m) {
    m.impl("pcdc_core", in_float<forward>);
    m.impl("pcdc_core_backward", in_float<backward>);
}

}  // namespace
}  // namespace upwell::bridge::pcdc

namespace upwell::ops {

Tensor pcdc_scores(const Tensor &key, const Tensor &query, const Tensor &norm_weight, const Tensor &weight,
                   const Tensor &bias, const Tensor &compress_weight, const Tensor &compress_bias,
                   const Tensor &hidden_weight, const Tensor &hidden_bias, const Tensor &score_weight,
                   const Tensor &score_bias, int64_t groups, int64_t norm_groups, at::OptionalSymIntArrayRef ratio,
                   bool relu, bool blur) {
    static const auto op = bridge::find_torch_operator<decltype(pcdc_scores)>("upwell::pcdc_scores");
    return op.call(key, query, norm_weight, weight, bias, compress_weight, compress_bias, hidden_weight, hidden_bias,
                   score_weight, score_bias, groups, norm_groups, ratio, relu, blur);
}

}  // namespace upwell::ops

namespace upwell::bridge::pcdc {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def(
        "pcdc_scores(Tensor key, Tensor query, Tensor norm_weight, Tensor weight, Tensor bias, Tensor compress_weight, "
        "Tensor compress_bias, Tensor hidden_weight, Tensor hidden_bias, Tensor score_weight, Tensor score_bias, "
        "int groups, int norm_groups, SymInt[]? ratio=None, bool relu=True, bool blur=False) -> Tensor",
        in_float<pcdc_scores>);
    m.def("pcdc_core(Tensor[] inputs, int groups, int norm_groups, bool relu, bool blur, "
          "SymInt[]? ratio=None) -> Tensor[]");
    m.def("pcdc_core_backward(Tensor d_scores, Tensor mean, Tensor rstd, Tensor[] inputs, int groups, int norm_groups, "
          "bool relu, bool blur, SymInt[]? ratio=None) -> Tensor[]");
}

TORCH_LIBRARY_IMPL(upwell, CPU, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, CUDA, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, Meta, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, Autograd, m) {
    m.impl("pcdc_core", differentiable);
    m.impl("pcdc_core_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge::pcdc
