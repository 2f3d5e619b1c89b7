// Scores of a PCDC block.
#include <algorithm>
#include <array>

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/pcdc_scores.h"

namespace upwell::bridge {
namespace {

using c10::SymInt;
using TensorVector = std::vector<Tensor>;

// Of a call with a key like the query: rows' high and low, columns' high and low; taps are high / low pixels apart.
// Symbolic while torch traces, so that what it exports holds for every size.
using Ratio = at::OptionalSymIntArrayRef;

constexpr std::array names{"key",         "query",           "norm_weight",   "weight",
                           "bias",        "compress_weight", "compress_bias", "hidden_weight",
                           "hidden_bias", "score_weight",    "score_bias"};

// Numbers of inputs.
enum {
    Key,
    Query,
    NormWeight,
    Weight,
    Bias,
    CompressWeight,
    CompressBias,
    HiddenWeight,
    HiddenBias,
    ScoreWeight,
    ScoreBias
};

struct Options {
    int64_t groups, norm_groups;
    bool relu, blur;
};

void check_ratio(const char *op, c10::SymIntArrayRef ratio) {
    const auto fits = [](const SymInt &part) {
        const std::optional<int64_t> integer = part.maybe_as_int();
        return !integer || (*integer >= 1 && *integer <= INT32_MAX);
    };
    TORCH_CHECK(ratio.size() == 4 && std::all_of(ratio.begin(), ratio.end(), fits), op,
                ": ratio should be 4 integers in 1 .. 2147483647, rows' high and low, columns' high and low, but is ",
                format(ratio));
}

void check_divides(const char *op, const char *name, int64_t divisor, const SymInt &channels, const char *of) {
    TORCH_CHECK(divisor >= 1, op, ": ", name, " should be at least 1 but is ", divisor);
    TORCH_SYM_CHECK((channels % divisor).sym_eq(0), op, ": ", name, " should divide the ", channels, " ", of,
                    " but is ", divisor);
}

// Weights of 1x1 convolutions come as matrices.
void check(const char *op, at::TensorList in, const Options &options, Ratio ratio) {
    TORCH_CHECK(in.size() == names.size(), op, ": inputs should be ", names.size(), " tensors but are ", in.size());
    if (ratio) {
        check_ratio(op, *ratio);
    }
    TORCH_CHECK(ratio || !options.blur, op, ": blur needs a key of the query's size");
    const Sizes query = check_map(op, "query", in[Query]), key = check_map(op, "key", in[Key]);
    TORCH_SYM_CHECK(query[1].sym_ge(1), op, ": query should have at least one channel but is ", format(query));
    for (size_t i = 0; i < in.size(); i++) {
        check_alike(op, names[i], in[i], "query", in[Query]);
    }
    check_sizes(op, "key", key, ratio ? query : Sizes{query[0], query[1], key[2], key[3]});
    TORCH_CHECK(in[Weight].dim() == 4, op, ": weight should have 4 dimensions, L,D/groups,K,K, but is ",
                format(in[Weight].sym_sizes()));
    for (const int matrix : {CompressWeight, ScoreWeight}) {
        TORCH_CHECK(in[matrix].dim() == 2, op, ": ", names[matrix],
                    " should have outputs and inputs as its first two dimensions and no others but is ",
                    format(in[matrix].sym_sizes()));
    }
    const SymInt D = query[1], L = in[Weight].sym_size(0), K = in[Weight].sym_size(2),
                 M = in[CompressWeight].sym_size(0), S = in[ScoreWeight].sym_size(0);
    check_elements(op, "output", Sizes{query[0], S, query[2], query[3]});
    check_divides(op, "groups", options.groups, D, "channels of key and query");
    check_divides(op, "groups", options.groups, L, "outputs of weight");
    check_divides(op, "groups", options.groups, M, "outputs of compress_weight");
    check_divides(op, "norm_groups", options.norm_groups, D, "channels of key and query");
    check_divides(op, "norm_groups", options.norm_groups, M, "outputs of compress_weight");
    TORCH_SYM_CHECK((K % 2).sym_eq(1), op, ": weight should have an odd kernel but is ",
                    format(in[Weight].sym_sizes()));
    const std::array<Sizes, names.size()> expected{
        key, query, {D}, {L, D / options.groups, K, K}, {L}, {M, L / options.groups}, {M}, {M}, {M}, {S, M}, {S}};
    for (size_t i = NormWeight; i < in.size(); i++) {
        check_shape(op, names[i], in[i], expected[i]);
    }
}

// scores, and what the gradient needs besides: statistics 6,N,norm_groups, and what an upsampled key becomes at low
// resolution.
TensorVector empty_outputs(at::TensorList in, const Options &options, Ratio ratio) {
    const Tensor &query = in[Query], &key = in[Key];
    const SymInt N = query.sym_size(0), before = in[Weight].sym_size(0) / options.groups,
                 after = in[CompressWeight].sym_size(0) / options.groups;
    const auto empty = [&](const Sizes &sizes) { return at::empty_symint(sizes, query.options()); };
    const int64_t padded =
        pcdc::padded_channels(before.guard_int(__FILE__, __LINE__), after.guard_int(__FILE__, __LINE__));
    return {empty({N, in[ScoreWeight].sym_size(0), query.sym_size(2), query.sym_size(3)}),
            empty({6, N, options.norm_groups}),
            ratio ? empty({0}) : empty({N, options.groups, key.sym_size(2) + 2, key.sym_size(3) + 2, padded})};
}

// Contiguous tensors, and what the runtime sees of them.
struct Inputs {
    explicit Inputs(at::TensorList given) {
        for (const Tensor &tensor : given) {
            kept.push_back(tensor.contiguous());
        }
    }
    pcdc::ScoresInputs views() const {
        const auto at = [&](int i) { return view(kept[i]); };
        return {at(Key),          at(Query),        at(NormWeight), at(Weight),      at(Bias),     at(CompressWeight),
                at(CompressBias), at(HiddenWeight), at(HiddenBias), at(ScoreWeight), at(ScoreBias)};
    }
    TensorVector kept;
};

pcdc::ScoresOptions known(const Options &options, Ratio ratio) {
    pcdc::ScoresOptions result{options.groups, options.norm_groups, options.relu, options.blur, {}};
    if (ratio) {
        const at::IntArrayRef parts = C10_AS_INTARRAYREF_SLOW(*ratio);
        result.ratio = {parts[0], parts[1], parts[2], parts[3]};
    }
    return result;
}

TensorVector forward(at::TensorList given, int64_t groups, int64_t norm_groups, bool relu, bool blur, Ratio ratio) {
    const Options options{groups, norm_groups, relu, blur};
    check("pcdc_scores", given, options, ratio);
    const TensorVector out = empty_outputs(given, options, ratio);
    if (!out[0].is_meta() && out[0].numel() > 0) {
        const Inputs in(given);
        on_queue(out[0], [&](const Queue *queue) {
            Host host(view(out[0]).dtype, queue);
            pcdc::scores(host, in.views(), known(options, ratio), {view(out[0]), view(out[1]), view(out[2])});
        });
    }
    return out;
}

// Gradients of all inputs.
TensorVector backward(const Tensor &d_scores, const Tensor &statistics, const Tensor &coarse, at::TensorList given,
                      int64_t groups, int64_t norm_groups, bool relu, bool blur, Ratio ratio) {
    const char *op = "pcdc_scores_backward";
    const Options options{groups, norm_groups, relu, blur};
    check(op, given, options, ratio);
    const SymInt N = given[Query].sym_size(0);
    const TensorVector like = empty_outputs(given, options, ratio);
    for (const auto &[name, tensor, expected] : {std::tuple{"d_scores", &d_scores, &like[0]},
                                                 {"statistics", &statistics, &like[1]},
                                                 {"coarse", &coarse, &like[2]}}) {
        check_alike(op, name, *tensor, "query", given[Query]);
        check_shape(op, name, *tensor, expected->sym_sizes().vec());
    }
    TensorVector result;
    for (const Tensor &input : given) {
        result.push_back(at::empty_symint(input.sym_sizes(), input.options()));
    }
    if (d_scores.is_meta()) {
        return result;
    }
    if (d_scores.numel() == 0) {
        for (Tensor &d : result) {
            d.zero_();
        }
        return result;
    }
    const Inputs in(given), d(result), saved({d_scores, statistics, coarse});
    on_queue(d_scores, [&](const Queue *queue) {
        Host host(view(d_scores).dtype, queue);
        pcdc::scores_adjoint(host, view(saved.kept[0]), in.views(), known(options, ratio),
                             {{}, view(saved.kept[1]), view(saved.kept[2])}, d.views());
    });
    return result;
}

TensorVector call_forward(at::TensorList inputs, int64_t groups, int64_t norm_groups, bool relu, bool blur,
                          Ratio ratio) {
    static const auto op = find_torch_operator<decltype(forward)>("upwell::pcdc_scores_forward");
    return op.call(inputs, groups, norm_groups, relu, blur, ratio);
}

TensorVector call_backward(const Tensor &d_scores, const Tensor &statistics, const Tensor &coarse,
                           at::TensorList inputs, int64_t groups, int64_t norm_groups, bool relu, bool blur,
                           Ratio ratio) {
    static const auto op = find_torch_operator<decltype(backward)>("upwell::pcdc_scores_backward");
    return op.call(d_scores, statistics, coarse, inputs, groups, norm_groups, relu, blur, ratio);
}

class Scores : public torch::autograd::Function<Scores> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, at::TensorList inputs, const Options &o, Ratio ratio) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        const TensorVector outputs = call_forward(inputs, o.groups, o.norm_groups, o.relu, o.blur, ratio);
        TensorVector saved = inputs.vec();
        saved.insert(saved.end(), {outputs[1], outputs[2]});
        context->save_for_backward(saved);
        context->saved_data["options"] = std::make_tuple(o.groups, o.norm_groups, o.relu, o.blur);
        if (ratio) {
            context->saved_data["ratio"] = *ratio;
        }
        return outputs[0];
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(names.size() + 2);
        if (!gradients[0].defined()) {
            return result;
        }
        const TensorVector saved = context->get_saved_variables();
        const at::TensorList inputs = at::TensorList(saved).slice(0, names.size());
        const auto [groups, norm_groups, relu, blur] =
            context->saved_data["options"].to<std::tuple<int64_t, int64_t, bool, bool>>();
        Sizes apart;
        const auto kept = context->saved_data.find("ratio");
        const bool has_ratio = kept != context->saved_data.end();
        if (has_ratio) {
            apart = kept->second.toSymIntVector();
        }
        const TensorVector d =
            call_backward(gradients[0], saved[names.size()], saved[names.size() + 1], inputs, groups, norm_groups, relu,
                          blur, has_ratio ? Ratio(c10::SymIntArrayRef(apart)) : std::nullopt);
        std::copy(d.begin(), d.end(), result.begin());
        return result;
    }
};

// The inputs as a list, weights of convolutions as matrices.
TensorVector listed(const Tensor &key, const Tensor &query, const Tensor &norm_weight, const Tensor &weight,
                    const Tensor &bias, const Tensor &compress_weight, const Tensor &compress_bias,
                    const Tensor &hidden_weight, const Tensor &hidden_bias, const Tensor &score_weight,
                    const Tensor &score_bias) {
    const auto matrix = [](const Tensor &of) { return of.dim() > 2 ? of.flatten(1) : of; };
    return {key,
            query,
            norm_weight,
            weight,
            bias.flatten(),
            matrix(compress_weight),
            compress_bias,
            hidden_weight,
            hidden_bias,
            matrix(score_weight),
            score_bias};
}

Tensor differentiable(const Tensor &key, const Tensor &query, const Tensor &norm_weight, const Tensor &weight,
                      const Tensor &bias, const Tensor &compress_weight, const Tensor &compress_bias,
                      const Tensor &hidden_weight, const Tensor &hidden_bias, const Tensor &score_weight,
                      const Tensor &score_bias, int64_t groups, int64_t norm_groups, Ratio ratio, bool relu,
                      bool blur) {
    const TensorVector inputs = listed(key, query, norm_weight, weight, bias, compress_weight, compress_bias,
                                       hidden_weight, hidden_bias, score_weight, score_bias);
    return Scores::apply(at::TensorList(inputs), Options{groups, norm_groups, relu, blur}, ratio);
}

Tensor pcdc_scores(const Tensor &key, const Tensor &query, const Tensor &norm_weight, const Tensor &weight,
                   const Tensor &bias, const Tensor &compress_weight, const Tensor &compress_bias,
                   const Tensor &hidden_weight, const Tensor &hidden_bias, const Tensor &score_weight,
                   const Tensor &score_bias, int64_t groups, int64_t norm_groups, Ratio ratio, bool relu, bool blur) {
    return forward(listed(key, query, norm_weight, weight, bias, compress_weight, compress_bias, hidden_weight,
                          hidden_bias, score_weight, score_bias),
                   groups, norm_groups, relu, blur, ratio)[0];
}

void implement(torch::Library &m) {
    m.impl("pcdc_scores", in_float<pcdc_scores>);
    m.impl("pcdc_scores_forward", in_float<forward>);
    m.impl("pcdc_scores_backward", in_float<backward>);
}

}  // namespace
}  // namespace upwell::bridge

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

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def(
        "pcdc_scores(Tensor key, Tensor query, Tensor norm_weight, Tensor weight, Tensor bias, Tensor compress_weight, "
        "Tensor compress_bias, Tensor hidden_weight, Tensor hidden_bias, Tensor score_weight, Tensor score_bias, "
        "int groups, int norm_groups, SymInt[]? ratio=None, bool relu=True, bool blur=False) -> Tensor");
    m.def("pcdc_scores_forward(Tensor[] inputs, int groups, int norm_groups, bool relu, bool blur, "
          "SymInt[]? ratio=None) -> Tensor[]");
    m.def("pcdc_scores_backward(Tensor d_scores, Tensor statistics, Tensor coarse, Tensor[] inputs, int groups, "
          "int norm_groups, bool relu, bool blur, SymInt[]? ratio=None) -> Tensor[]");
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
    m.impl("pcdc_scores", in_float<differentiable>);  // statistics are kept, before they are rounded
    m.impl("pcdc_scores_forward", torch::autograd::autogradNotImplementedFallback());
    m.impl("pcdc_scores_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
