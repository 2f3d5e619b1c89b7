#include "operators/pcdc_scores.h"

#include <limits>

#include "tensor.h"
#include "views.h"

namespace upwell::pcdc {
namespace {

constexpr double norm_eps = 1e-5;  // torch's own

Channels channels_of(const ScoresInputs &in, const ScoresOptions &options) {
    const int64_t G = options.groups, before = in.weight.sizes[0] / G, after = in.compress_weight.sizes[0] / G;
    return {in.query.sizes[0], G, in.query.sizes[1] / G, before, padded_channels(before, after)};
}

// A kernel's own taps, one pixel of their map apart.
constexpr Ratio beside_each_other{1, 1, 1, 1};

// What both directions of the operator need. Hidden channels m of a group g; or c of a normalisation's group q.
class Block {
public:
    Block(Host &host, const ScoresInputs &in, const ScoresOptions &options, const ScoresOutputs &out)
        : host(host), in(in), options(options), coarse(out.coarse), hidden_map(out.hidden),
          channels(channels_of(in, options)), M(in.compress_weight.sizes[0]), S(in.score_weight.sizes[0]),
          each(M / channels.groups), key_stats(stats(out, 0)), query_stats(stats(out, 1)), hidden_stats(stats(out, 2)),
          taps(host, in.weight, options.ratio.value_or(beside_each_other)) {}

    bool is_upsampled() const { return !options.ratio; }
    bool keeps_hidden() const { return host.backend() == Backend::Cpu && element_count(hidden_map) > 0; }
    int64_t H() const { return in.query.sizes[2]; }
    int64_t W() const { return in.query.sizes[3]; }

    Fold fold() const { return {host, channels, taps, in.bias, Norms{in.norm_weight, key_stats, query_stats}}; }

    Call call(const Fold &fold) const {
        return is_upsampled() ? Call(host, channels, coarse, in.query, fold.query_weights())
                              : Call(host, channels, in.key, in.query, fold.weights(), taps.offsets(), options.blur);
    }

    // The key's part of an upsampled key, found at low resolution: of the map with one cell around it.
    struct Low {
        Tensor key;  // N,D,h + 2,w + 2
        Call call;
    };
    Low low(const Fold &fold) const {
        const std::vector<int64_t> &sizes = in.key.sizes;
        const int64_t h = sizes[2], w = sizes[3];
        const Tensor padded = host.scratch({sizes[0], sizes[1], h + 2, w + 2});
        const auto copy = [&](const Tensor &to, const Tensor &from) { host.contract({to, "ndyx"}, {from, "ndyx"}); };
        const Tensor rows = narrowed(padded, 2, 1, h);
        copy(narrowed(rows, 3, 1, w), in.key);
        for (const auto &[to, from] : {std::pair<int64_t, int64_t>{0, 1}, {w + 1, w}}) {
            copy(narrowed(rows, 3, to, 1), narrowed(rows, 3, from, 1));
        }
        for (const auto &[to, from] : {std::pair<int64_t, int64_t>{0, 1}, {h + 1, h}}) {
            copy(narrowed(padded, 2, to, 1), narrowed(padded, 2, from, 1));
        }
        return {padded, Call(host, channels, padded, padded, fold.key_weights(), taps.offsets(), false)};
    }
    // Of its gradient, which is written over.
    Tensor unpad(const Tensor &d_padded) const {
        const int64_t h = in.key.sizes[2], w = in.key.sizes[3];
        const auto add = [&](const Tensor &to, const Tensor &from) {
            host.contract({to, "ndyx"}, {from, "ndyx"}, 1, {to, "ndyx"});
        };
        for (const auto &[to, from] : {std::pair<int64_t, int64_t>{1, 0}, {h, h + 1}}) {
            add(narrowed(d_padded, 2, to, 1), narrowed(d_padded, 2, from, 1));
        }
        const Tensor rows = narrowed(d_padded, 2, 1, h);
        for (const auto &[to, from] : {std::pair<int64_t, int64_t>{1, 0}, {w, w + 1}}) {
            add(narrowed(rows, 3, to, 1), narrowed(rows, 3, from, 1));
        }
        return narrowed(rows, 3, 1, w);
    }

    // N,L,h + 2,w + 2 as N,G,L / G,h + 2,w + 2; and coarse, or its gradient, as N,G,h + 2,w + 2,L / G.
    Tensor planar_coarse() const {
        return host.scratch({channels.N, channels.groups, channels.before, coarse.sizes[2], coarse.sizes[3]});
    }
    Tensor own_channels(const Tensor &of_coarse) const { return narrowed(of_coarse, 4, 0, channels.before); }

    // What passes that find hidden channels take before their own arguments.
    Arguments hidden() const {
        const Tensor weight = host.scratch({channels.groups, channels.before, channels.padded}),
                     bias = host.scratch({channels.groups, channels.padded});
        host.contract({weight, "gam"}, {compress_weight(), "gma"});
        host.contract({bias, "gm"}, {reshaped(in.compress_bias, {channels.groups, each}), "gm"});
        Arguments arguments;
        add_floor(arguments);
        arguments.add("compress", weight, -1, 0);
        arguments.add("compress_bias", bias, -1, 0);
        return arguments;
    }
    void add_floor(Arguments &arguments) const {
        arguments.add("floor", options.relu ? 0 : -static_cast<double>(std::numeric_limits<float>::max()));
    }
    // Those that are kept, as kernels index them.
    void add_kept(Arguments &arguments, const Tiling &tiling) const {
        arguments.add(
            "hidden",
            reshaped(hidden_map, {channels.N, channels.groups, tiling.step, tiling.rows(), tiling.W, channels.padded}),
            0, 1);
    }
    Tensor compress_weight() const { return reshaped(in.compress_weight, {channels.groups, each, channels.before}); }

    // A value of every norm group N,q, for hidden channels as kernels take them: N,G,padded.
    Tensor packed(const Tensor &of_groups) const {
        const Tensor packed = host.scratch({channels.N, channels.groups, channels.padded});
        host.contract({packed, "ngm"}, {in_groups(per_channel(host, of_groups, M)), "ngm"});
        return packed;
    }
    // N,M by groups of the convolutions, and of the normalisation.
    Tensor in_groups(const Tensor &of_channels) const {
        return reshaped(of_channels, {channels.N, channels.groups, each});
    }
    Tensor by_norm(const Tensor &of_channels) const {
        return reshaped(of_channels, {channels.N, options.norm_groups, M / options.norm_groups});
    }
    Lettered hidden_weight() const {
        return {reshaped(in.hidden_weight, {options.norm_groups, M / options.norm_groups}), "qc"};
    }
    // hidden_weight rstd, N,M.
    Tensor hidden_scale() const {
        const Tensor scale = host.scratch({channels.N, M});
        host.contract({by_norm(scale), "nqc"}, hidden_weight(), {hidden_stats.rstd, "nq"});
        return scale;
    }
    Lettered score_weight() const { return {reshaped(in.score_weight, {S, channels.groups, each}), "sgm"}; }

    Host &host;
    const ScoresInputs &in;
    const ScoresOptions &options;
    const Tensor coarse, hidden_map;
    const Channels channels;
    const int64_t M, S, each;
    const GroupStats key_stats, query_stats, hidden_stats;
    const Taps taps;

private:
    static GroupStats stats(const ScoresOutputs &out, int64_t which) {
        const auto row = [&](int64_t i) {
            const Tensor one = selected(out.statistics, 0, i);
            return reshaped(one, one.sizes);
        };
        return {row(2 * which), row(2 * which + 1)};
    }
};

// Statistics of the hidden channels' groups: those of tiles (N,step,tiles y,tiles x,G,2,padded) put together.
void combine(const Block &b, const Tiling &tiling, const Tensor &of_tiles) {
    Host &host = b.host;
    const Host::Scope scope(host);
    const int64_t N = tiling.N, rows = tiling.step * tiling.tiles_y(), columns = tiling.tiles_x(),
                  groups = b.options.norm_groups;
    const Tensor all = reshaped(of_tiles, {N, rows * columns, b.channels.groups, 2, b.channels.padded});
    const auto of_kind = [&](int64_t kind) {
        const Tensor own = host.scratch({N, rows * columns, b.channels.groups, b.each});
        host.contract({own, "npgm"}, {narrowed(selected(all, 3, kind), 3, 0, b.each), "npgm"});
        return reshaped(own, {N, rows * columns, groups, b.M / groups});
    };
    const Tensor pixels = tiling.pixels(host), flat = reshaped(pixels, {rows * columns});
    const double count = static_cast<double>(tiling.H * tiling.W * (b.M / groups));
    // values N,tiles,q,c: row by row of tiles first.
    const auto sum = [&](const Tensor &values, const Lettered &weight, const Tensor &result) {
        const Tensor of_rows = host.scratch({N, rows, groups, b.M / groups});
        host.contract({of_rows, "nyqc"}, {reshaped(values, {N, rows, columns, groups, b.M / groups}), "nyxqc"}, weight);
        host.contract({result, "nq"}, {of_rows, "nyqc"}, 1 / count);
    };
    const Tensor means = of_kind(0), squares = of_kind(1), apart = host.scratch(means.sizes),
                 weighted = host.scratch(means.sizes), variance = host.scratch({N, groups});
    sum(means, {pixels, "yx"}, b.hidden_stats.mean);
    host.contract({apart, "npqc"}, {b.hidden_stats.mean, "nq"}, -1, {means, "npqc"});
    host.contract({weighted, "npqc"}, {apart, "npqc"}, {flat, "p"});
    host.contract({squares, "npqc"}, {apart, "npqc"}, {weighted, "npqc"}, 1, {squares, "npqc"});
    sum(squares, {}, variance);
    find_rstd(host, variance, norm_eps, b.hidden_stats.rstd);
}

// Sums over the pixels of a map N,S,H,W: N,S.
Tensor sums_over_pixels(Host &host, const Tensor &map) {
    const Tensor lines = host.scratch({map.sizes[0], map.sizes[1], map.sizes[3]}),
                 sums = host.scratch({map.sizes[0], map.sizes[1]});
    host.contract({lines, "nsx"}, {map, "nsyx"});
    host.contract({sums, "ns"}, {lines, "nsx"});
    return sums;
}

// The gradient of h at a pixel: weight d_scores + offset + slope (h - centre).
void add_hidden_gradient(Arguments &arguments, const Block &b, const Tensor &d_scores, const Tensor &centre,
                         const Lettered &scale, const Tensor &offset, const Tensor &slope, const Tiling &tiling) {
    Host &host = b.host;
    const Tensor weight = host.scratch({b.channels.N, b.channels.groups, b.S, b.channels.padded});
    host.contract({weight, "ngsm"}, b.score_weight(), scale);
    const Tensor back = host.scratch({b.channels.groups, b.each, b.channels.padded});
    host.contract({back, "gma"}, {b.compress_weight(), "gma"});
    arguments.add("centre", centre, 0, 1);
    arguments.add("d_scores", tiling.phased(d_scores), 0);
    arguments.add("d_hidden_weight", weight, 0, 1);
    arguments.add("d_hidden_offset", b.packed(offset), 0, 1);
    arguments.add("d_hidden_slope", b.packed(slope), 0, 1);
    arguments.add("compress_back", back, -1, 0);
}

}  // namespace

void scores(Host &host, const ScoresInputs &in, const ScoresOptions &options, const ScoresOutputs &out) {
    const Block b(host, in, options, out);
    group_stats(host, in.query, false, norm_eps, b.query_stats);
    if (b.is_upsampled()) {
        upsampled_group_stats(host, in.key, b.H(), b.W(), norm_eps, b.key_stats);
    } else {
        group_stats(host, in.key, options.blur, norm_eps, b.key_stats);
    }
    const Fold fold = b.fold();
    if (b.is_upsampled()) {
        const Host::Scope scope(host);
        const Block::Low low = b.low(fold);
        const Tensor planar = b.planar_coarse();
        Arguments output;
        output.add("output", low.call.tiling.phased(planar));
        low.call.run("", output);
        host.contract({out.coarse, "ngyxl"}, {planar, "nglyx"});
    }
    const Call call = b.call(fold);
    const Arguments hidden = b.hidden();
    const bool keeps = b.keeps_hidden();

    Arguments statistics;
    const Tensor of_tiles = host.scratch(call.tiling.of_tiles({options.groups, 2, b.channels.padded}));
    statistics.add("statistics", of_tiles);
    if (keeps) {
        Arguments kept;
        b.add_kept(kept, call.tiling);
        statistics.add(kept);
        kept.add(hidden);
        call.run("_hidden", kept);
        host.run("pcdc_hidden_statistics", statistics.of({}));
    } else {
        statistics.add(hidden);
        call.run("_statistics", statistics);
    }
    combine(b, call.tiling, of_tiles);

    const int64_t padded = padded_scores(b.S);
    const Tensor weight = host.scratch({b.channels.N, options.groups, b.each, padded}), bias = host.scratch({b.S}),
                 packed_bias = host.scratch({b.channels.N, padded});
    host.contract({weight, "ngms"}, b.score_weight(), {b.in_groups(b.hidden_scale()), "ngm"});
    host.contract({bias, "s"}, {in.score_weight, "sm"}, {in.hidden_bias, "m"}, 1, {in.score_bias, "s"});
    host.contract({packed_bias, "ns"}, {bias, "s"});
    Arguments result;
    result.add("centre", b.packed(b.hidden_stats.mean));
    result.add("score_weight", weight);
    result.add("score_bias", packed_bias);
    result.add("scores", call.tiling.phased(out.scores));
    if (keeps) {
        b.add_kept(result, call.tiling);
        host.run("pcdc_hidden_scores", result.of({}));
    } else {
        result.add(hidden);
        call.run("_scores", result);
    }
}

void scores_backward(Host &host, const Tensor &d_scores, const ScoresInputs &in, const ScoresOptions &options,
                     const ScoresOutputs &saved, const ScoresInputs &d) {
    const Block b(host, in, options, saved);
    const Fold fold = b.fold();
    const Call call = b.call(fold);
    const auto &[N, G, E, before, padded] = b.channels;
    const bool keeps = b.keeps_hidden();
    Arguments hidden;
    if (keeps) {
        b.add_kept(hidden, call.tiling);
    } else {
        hidden = b.hidden();
    }
    const Tensor centre = b.packed(b.hidden_stats.mean), rstd = b.hidden_stats.rstd;

    // Sums over pixels of d_score (h - mean), and of d_score.
    Arguments moments = hidden;
    const Tensor of_tiles = host.scratch(call.tiling.of_tiles({G, b.S, padded})),
                 sums = sums_over_pixels(host, d_scores);
    moments.add("centre", centre);
    moments.add("d_scores", call.tiling.phased(d_scores));
    moments.add("moments", of_tiles);
    if (keeps) {
        host.run("pcdc_hidden_moments", moments.of({}));
    } else {
        call.run("_moments", moments);
    }
    const Tensor padded_moments = host.scratch({N, G, b.S, padded});
    sum_tiles(host, of_tiles, padded_moments);
    const Lettered of_scores{narrowed(padded_moments, 3, 0, b.each), "ngsm"};

    // The normalisation's gradient at a pixel: rstd (gamma d - mean(gamma d) - h^ mean(gamma d h^)), h^ = (h - mean)
    // rstd. Sums of d, and of d h^, N,M:
    const Tensor plain = host.scratch({N, b.M}), unscaled = host.scratch({N, b.M}), through = host.scratch({N, b.M});
    host.contract({plain, "nm"}, {in.score_weight, "sm"}, {sums, "ns"});
    host.contract({b.in_groups(unscaled), "ngm"}, of_scores, b.score_weight());
    host.contract({b.by_norm(through), "nqc"}, {b.by_norm(unscaled), "nqc"}, {rstd, "nq"});
    const double count = static_cast<double>(b.H() * b.W() * (b.M / options.norm_groups));
    const auto times_mean = [&](const Tensor &factor, const Tensor &of_channels) {
        const Tensor mean = host.scratch(rstd.sizes), result = host.scratch(rstd.sizes);
        host.contract({mean, "nq"}, {b.by_norm(of_channels), "nqc"}, b.hidden_weight(), 1 / count);
        host.contract({result, "nq"}, {mean, "nq"}, {factor, "nq"}, -1);
        return result;
    };
    const Tensor squared = host.scratch(rstd.sizes);
    host.contract({squared, "nq"}, {rstd, "nq"}, {rstd, "nq"});

    Arguments adjoint = hidden;
    if (keeps) {
        b.add_floor(adjoint);
    }
    const Lettered scale{b.in_groups(b.hidden_scale()), "ngm"};
    add_hidden_gradient(adjoint, b, d_scores, centre, scale, times_mean(rstd, plain), times_mean(squared, through),
                        call.tiling);
    adjoint.add("back_weight", fold.back(b.is_upsampled() ? Fold::Columns::Query : Fold::Columns::TapsAndQuery), 0, 1);
    const int64_t compressor = call.columns().compressor();
    Backward found{host.scratch({N, G, compressor + before + 1, padded}), host.scratch(in.query.sizes)};
    if (b.is_upsampled()) {
        found.d_coarse = host.scratch(b.coarse.sizes);
    } else {
        found.d_key = host.scratch(in.key.sizes);
    }
    call.run_backward(keeps ? "_hidden_scores_backward" : "_scores_backward", adjoint, before + 1, found);

    const Fold::Found rest{found.weights, call.columns()};
    Fold::Gradients folded;
    if (b.is_upsampled()) {
        const Block::Low low = b.low(fold);
        const Tensor planar = b.planar_coarse();
        host.contract({planar, "nglyx"}, {b.own_channels(*found.d_coarse), "ngyxl"});
        Arguments difference;
        difference.add("d_output", low.call.tiling.phased(planar), 0, 1);
        difference.add("back_weight", fold.back(Fold::Columns::Taps), 0, 1);
        Backward of_low{host.scratch({N, G, low.call.columns().compressor(), padded})};
        of_low.d_key = host.scratch(low.key.sizes);
        low.call.run_backward("_backward", difference, 0, of_low);
        folded = fold.unfold({of_low.weights, low.call.columns()}, rest, d.bias, d.norm_weight);
        upsampled_group_stats_backward(host, in.key, b.H(), b.W(), b.key_stats, folded.d_key, b.unpad(*of_low.d_key),
                                       d.key);
    } else {
        folded = fold.unfold(rest, rest, d.bias, d.norm_weight);
        group_stats_backward(host, in.key, options.blur, b.key_stats, folded.d_key, *found.d_key, d.key);
    }
    group_stats_backward(host, in.query, false, b.query_stats, folded.d_query, *found.d_query, d.query);
    b.taps.gather(folded.d_taps, folded.d_sum, d.weight);

    const Tensor of_hidden = narrowed(found.weights, 3, 0, b.each);
    host.contract({reshaped(d.compress_weight, {G, b.each, before}), "gma"},
                  {narrowed(of_hidden, 2, compressor, before), "ngam"});
    host.contract({reshaped(d.compress_bias, {G, b.each}), "gm"}, {selected(of_hidden, 2, compressor + before), "ngm"});
    host.contract({d.hidden_weight, "m"}, {through, "nm"});
    host.contract({d.hidden_bias, "m"}, {plain, "nm"});
    host.contract({d.score_bias, "s"}, {sums, "ns"});
    const Lettered d_score_weight{reshaped(d.score_weight, {b.S, G, b.each}), "sgm"};
    host.contract(d_score_weight, of_scores, scale);
    host.contract(d_score_weight, {d.score_bias, "s"}, {reshaped(in.hidden_bias, {G, b.each}), "gm"}, 1,
                  d_score_weight);
}

}  // namespace upwell::pcdc
