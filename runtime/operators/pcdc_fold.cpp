#include "operators/pcdc_fold.h"

#include "views.h"

namespace upwell::pcdc {

Fold::Fold(Host &host, const Channels &channels, const Taps &taps, const Tensor &bias,
           const std::optional<Norms> &norms)
    : host_(host), channels_(channels), taps_(taps.count()), norms_(norms), key_(affine(norms ? &norms->key : nullptr)),
      query_(affine(norms ? &norms->query : nullptr)),
      weight_(reshaped(taps.weight(), {channels.groups, channels.before, channels.of_group, taps_})),
      bias_(reshaped(bias, {channels.groups, channels.before})),
      sum_(host.scratch({channels.groups, channels.before, channels.of_group})) {
    host.contract({sum_, "gle"}, {weight_, "glet"}, -1);
}

Fold::Affine Fold::affine(const GroupStats *stats) const {
    const auto &[N, G, E, before, padded] = channels_;
    if (!stats) {
        return {host_.constant(1, {N, G, E}), host_.constant(0, {N, G * E})};
    }
    const Tensor scale = host_.scratch({N, G, E});
    const int64_t groups = stats->rstd.sizes[1], each = G * E / groups;
    host_.contract({by_norm(scale), "nqc"}, {reshaped(norms_->weight, {groups, each}), "qc"}, {stats->rstd, "nq"});
    return {scale, per_channel(host_, stats->mean, G * E)};
}

Tensor Fold::by_norm(const Tensor &of_channels) const {
    const int64_t groups = norms_->key.rstd.sizes[1];
    return reshaped(of_channels, {channels_.N, groups, channels_.groups * channels_.of_group / groups});
}

Call::Weights Fold::weights() const {
    Call::Weights weights = query_weights();
    const Call::Weights of_key = key_weights();
    weights.key_centre = of_key.key_centre;
    weights.key = of_key.key;
    return weights;
}

Call::Weights Fold::query_weights() const {
    const auto &[N, G, E, before, padded] = channels_;
    const Tensor query = host_.scratch({N, G, E, padded}), bias = host_.scratch({N, G, padded});
    host_.contract({query, "ngel"}, {sum_, "gle"}, {query_.scale, "nge"});
    host_.contract({bias, "ngl"}, {bias_, "gl"});
    return {{}, {}, query_.centre, query, bias};
}

Call::Weights Fold::key_weights() const {
    const auto &[N, G, E, before, padded] = channels_;
    const Tensor key = host_.scratch({N, G, taps_, E, padded});
    host_.contract({key, "ngtel"}, {weight_, "glet"}, {key_.scale, "nge"});
    return {key_.centre, key, key_.centre, host_.constant(0, {N, G, E, padded}), host_.constant(0, {N, G, padded})};
}

Tensor Fold::back(Columns which) const {
    const auto &[N, G, E, before, padded] = channels_;
    const int64_t own_taps = which == Columns::Query ? 0 : taps_;
    const int64_t query = RecordColumns<int64_t>{E, own_taps}.query(), size = padded_back_columns(query + E);
    const Tensor back = host_.scratch({N, G, before, size}), rest = narrowed(back, 3, query, size - query);
    if (own_taps > 0) {
        Tensor key = back;
        key.sizes = {N, G, before, own_taps, E};
        key.strides = {G * before * size, before * size, size, E, 1};
        host_.contract({key, "nglte"}, {weight_, "glet"}, {key_.scale, "nge"});
    }
    if (which == Columns::Taps) {
        host_.contract({rest, "ngle"}, {host_.constant(0, {size - query}), "e"});
    } else {
        host_.contract({rest, "ngle"}, {sum_, "gle"}, {query_.scale, "nge"});
    }
    return back;
}

Fold::Gradients Fold::unfold(const Found &key, const Found &rest, const Tensor &d_bias,
                             const Tensor &d_norm_weight) const {
    const auto &[N, G, E, before, padded] = channels_;
    const auto bias_of = [&](const Found &found) {
        return Lettered{narrowed(selected(found.weights, 2, found.columns.bias()), 2, 0, channels_.before), "ngl"};
    };
    const std::vector<int64_t> strides = strides_of(key.weights);
    const Lettered of_taps{{key.weights.data,
                            key.weights.dtype,
                            {N, G, taps_, E, before},
                            {strides[0], strides[1], E * padded, padded, 1}},
                           "ngtel"};
    const Lettered of_query{narrowed(narrowed(rest.weights, 2, rest.columns.query(), E), 3, 0, before), "ngel"};

    Gradients d{host_.scratch({G * before, E, taps_}), host_.scratch({G * before, E}), {}, {}};
    host_.contract({reshaped(d.d_taps, {G, before, E, taps_}), "glet"}, of_taps, {key_.scale, "nge"});
    host_.contract({reshaped(d.d_sum, {G, before, E}), "gle"}, of_query, {query_.scale, "nge"}, -1);
    host_.contract({reshaped(d_bias, {G, before}), "gl"}, bias_of(rest));
    if (!norms_) {
        return d;
    }
    const auto of_channels = [&](const Lettered &left, const Lettered &right) {
        const Tensor result = host_.scratch({N, G, E});
        host_.contract({result, "nge"}, left, right);
        return result;
    };
    const Tensor d_key_scale = of_channels(of_taps, {weight_, "glet"}),
                 d_query_scale = of_channels(of_query, {sum_, "gle"});
    // A change of a mean changes the bias; with the map centred by the mean of now it does nothing else.
    d.d_key = unfold_stats(key_, d_key_scale, of_channels(bias_of(key), {sum_, "gle"}), 1);
    d.d_query = unfold_stats(query_, d_query_scale, of_channels(bias_of(rest), {sum_, "gle"}), -1);
    const int64_t groups = norms_->key.rstd.sizes[1];
    const Lettered result{reshaped(d_norm_weight, {groups, G * E / groups}), "qc"};
    host_.contract(result, {by_norm(d_key_scale), "nqc"}, {norms_->key.rstd, "nq"});
    host_.contract(result, {by_norm(d_query_scale), "nqc"}, {norms_->query.rstd, "nq"}, 1, result);
    return d;
}

GroupStats Fold::unfold_stats(const Affine &map, const Tensor &d_scale, const Tensor &shift, double sign) const {
    const std::vector<int64_t> &sizes = norms_->key.rstd.sizes;
    const GroupStats d{host_.scratch(sizes), host_.scratch(sizes)};
    host_.contract({d.mean, "nq"}, {by_norm(shift), "nqc"}, {by_norm(map.scale), "nqc"}, sign);
    host_.contract({d.rstd, "nq"}, {by_norm(d_scale), "nqc"},
                   {reshaped(norms_->weight, {sizes[1], channels_.groups * channels_.of_group / sizes[1]}), "qc"});
    return d;
}

}  // namespace upwell::pcdc
