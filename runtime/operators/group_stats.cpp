#include "operators/group_stats.h"

#include "grid/gaussian.h"
#include "grid/upsampling.h"
#include "operator_call.h"
#include "tensor.h"
#include "views.h"

namespace upwell {
namespace {

// -d_rstd rstd^3 / count: what rstd's gradient adds to that of each squared difference, over 2.
Tensor rstd_scale(Host &host, const GroupStats &stats, const Tensor &d_rstd, double count) {
    const Tensor once = host.scratch(stats.rstd.sizes), squared = host.scratch(stats.rstd.sizes),
                 scale = host.scratch(stats.rstd.sizes);
    host.contract({once, "nq"}, {d_rstd, "nq"}, {stats.rstd, "nq"});
    host.contract({squared, "nq"}, {stats.rstd, "nq"}, {stats.rstd, "nq"});
    host.contract({scale, "nq"}, {once, "nq"}, {squared, "nq"}, -1 / count);
    return scale;
}

// A low-res map, the statistics of whose upsampling U x are asked for, as N,groups,channels of a group,h,w: n, q, c, y,
// x.
class UpsampledGroups {
public:
    UpsampledGroups(Host &host, const Tensor &x, int64_t groups, int64_t H, int64_t W)
        : host(host), N(x.sizes[0]), each(x.sizes[1] / groups), groups(groups), h(x.sizes[2]), w(x.sizes[3]),
          pixels(static_cast<double>(H) * static_cast<double>(W)), rows(make_upsampling(h, H)),
          columns(make_upsampling(w, W)), share(host.scratch({h, w})) {
        host.contract({share, "yx"}, {host.table(rows.sums), "y"}, {host.table(columns.sums), "x"}, 1 / pixels);
    }

    Tensor grouped(const Tensor &map) const { return split(map, 1, groups); }

    // map - value, N,groups.
    Tensor centred(const Tensor &map, const Tensor &value) const {
        const Tensor result = host.scratch({N, groups, each, h, w});
        host.contract({result, "nqcyx"}, {value, "nq"}, -1, {map, "nqcyx"});
        return result;
    }

    // Sums over groups and cells of map weight, or of map alone, line by line first.
    Tensor sums(const Tensor &map, const Lettered &weight, double factor) const {
        const Tensor lines = host.scratch({N, groups, each, w}), result = host.scratch({N, groups});
        host.contract({lines, "nqcx"}, {map, "nqcyx"}, weight);
        host.contract({result, "nq"}, {lines, "nqcx"}, factor);
        return result;
    }

    // U^T U map.
    Tensor squared(const Tensor &map) const { return apply(columns, apply(rows, map, 3, 'y'), 4, 'x'); }

    Host &host;
    const int64_t N, each, groups, h, w;
    const double pixels;
    const Upsampling rows, columns;
    const Tensor share;  // of each cell in the mean, h,w

private:
    // U^T U of an axis has a diagonal and the same numbers on both sides of it.
    Tensor apply(const Upsampling &u, const Tensor &map, size_t dimension, char letter) const {
        const Tensor result = host.scratch(map.sizes);
        host.contract({result, "nqcyx"}, {map, "nqcyx"}, {host.table(u.diagonal), {letter}});
        const int64_t between = map.sizes[dimension] - 1;
        if (between > 0) {
            const Tensor neighbour = host.table(u.neighbour);
            for (const int64_t to : {1, 0}) {
                const Lettered part{narrowed(result, dimension, to, between), "nqcyx"};
                host.contract(part, {narrowed(map, dimension, 1 - to, between), "nqcyx"}, {neighbour, {letter}}, 1,
                              part);
            }
        }
        return result;
    }
};

}  // namespace

void find_rstd(Host &host, const Tensor &variance, double eps, const Tensor &rstd) {
    const int64_t count = element_count(rstd);
    const Tensor line{variance.data, variance.dtype, {count}, {strides_of(variance).back()}};
    host.run("reciprocal_root", {{"variance", line}, {"eps", eps}, {"output", reshaped(rstd, {count})}});
}

Tensor per_channel(Host &host, const Tensor &value, int64_t channels) {
    const int64_t N = value.sizes[0], groups = value.sizes[1];
    const Tensor result = host.scratch({N, channels});
    host.contract({reshaped(result, {N, groups, channels / groups}), "nqc"}, {value, "nq"});
    return result;
}

void group_stats(Host &host, const Tensor &x, bool blur, double eps, const GroupStats &stats) {
    const Host::Scope scope(host);
    const int64_t N = x.sizes[0], groups = stats.mean.sizes[1];
    const Tensor both = host.scratch({N, groups, 2});
    host.run("group_stats",
             {{"map", x}, {"blur", gaussian_side(blur)}, {"channels", x.sizes[1] / groups}, {"statistics", both}});
    host.contract({stats.mean, "nq"}, {selected(both, 2, 0), "nq"});
    find_rstd(host, selected(both, 2, 1), eps, stats.rstd);
}

// The variance's gradient at a pixel is 2 (x - mean) / count.
void group_stats_backward(Host &host, const Tensor &x, bool blur, const GroupStats &stats, const GroupStats &d_stats,
                          const Tensor &added, const Tensor &d_x) {
    const Host::Scope scope(host);
    const int64_t channels = x.sizes[1], groups = stats.mean.sizes[1];
    const double count = static_cast<double>(channels / groups * x.sizes[2] * x.sizes[3]);
    const Tensor scale = rstd_scale(host, stats, d_stats.rstd, count), shift = host.scratch(scale.sizes);
    host.contract({shift, "nq"}, {d_stats.mean, "nq"}, 1 / count);
    host.contract({shift, "nq"}, {scale, "nq"}, {stats.mean, "nq"}, -1, {shift, "nq"});
    host.run("group_stats_backward", {{"map", x},
                                      {"blur", gaussian_side(blur)},
                                      {"scale", per_channel(host, scale, channels)},
                                      {"shift", per_channel(host, shift, channels)},
                                      {"added", added},
                                      {"d_map", d_x}});
}

void upsampled_group_stats(Host &host, const Tensor &x, int64_t H, int64_t W, double eps, const GroupStats &stats) {
    const Host::Scope scope(host);
    const UpsampledGroups up(host, x, stats.mean.sizes[1], H, W);
    const Tensor map = up.grouped(x);
    const double each = static_cast<double>(up.each);
    // Centred by the plain mean first, so that float32 loses nothing where the mean is large.
    const Tensor near = up.sums(map, {}, 1 / (each * static_cast<double>(up.h * up.w)));
    const Tensor rest = up.sums(up.centred(map, near), {up.share, "yx"}, 1 / each);
    host.contract({stats.mean, "nq"}, {rest, "nq"}, 1, {near, "nq"});
    const Tensor centred = up.centred(map, stats.mean);
    const Tensor variance = up.sums(centred, {up.squared(centred), "nqcyx"}, 1 / (each * up.pixels));
    find_rstd(host, variance, eps, stats.rstd);
}

void upsampled_group_stats_backward(Host &host, const Tensor &x, int64_t H, int64_t W, const GroupStats &stats,
                                    const GroupStats &d_stats, const Tensor &added, const Tensor &d_x) {
    const Host::Scope scope(host);
    const UpsampledGroups up(host, x, stats.mean.sizes[1], H, W);
    const double each = static_cast<double>(up.each);
    const Tensor squared = up.squared(up.centred(up.grouped(x), stats.mean)), d_map = up.grouped(d_x);
    const Tensor scale = rstd_scale(host, stats, d_stats.rstd, each * up.pixels), mean = host.scratch(scale.sizes);
    host.contract({mean, "nq"}, {d_stats.mean, "nq"}, 1 / each);
    const Tensor of_mean = host.scratch({up.N, up.groups, up.h, up.w});
    host.contract({of_mean, "nqyx"}, {mean, "nq"}, {up.share, "yx"});
    host.contract({d_map, "nqcyx"}, {of_mean, "nqyx"}, 1, {up.grouped(added), "nqcyx"});
    host.contract({d_map, "nqcyx"}, {squared, "nqcyx"}, {scale, "nq"}, 1, {d_map, "nqcyx"});
}

std::vector<Signature> describe_group_stats() {
    static const auto stats = [](const OperatorCall &c) { return GroupStats{c.tensor("mean"), c.tensor("rstd")}; };
    static const auto d_stats = [](const OperatorCall &c) {
        return GroupStats{c.tensor("d_mean"), c.tensor("d_rstd")};
    };
    static const auto nothing = [](Host &host, const OperatorCall &c) { return host.constant(0, c.tensor("x").sizes); };
    const Condition groups{"C%groups == 0", "groups", "should divide the {C} channels but is {groups}"};
    Signature own{
        .name = "group_stats",
        .doc = "Statistics of group normalisations: mean and 1 / sqrt(variance + eps) of each group of channels. blur: "
               "of x "
               "blurred by the 3x3 Gaussian (sigma 1, replicate border).",
        .inputs = {tensor("x", "N,C,H,W")},
        .options = {integer("groups"), real("eps", 1e-5), flag("blur", false)},
        .outputs = {{"mean", "N,groups"}, {"rstd", "N,groups", false, 1}},
        .run = [](Host &host,
                  const OperatorCall &c) { group_stats(host, c.tensor("x"), c.flag("blur"), c.real("eps"), stats(c)); },
        .conditions = {groups},
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature own_backward = add_backward(own, {"x", "mean", "rstd"}, [](Host &host, const OperatorCall &c) {
        group_stats_backward(host, c.tensor("x"), c.flag("blur"), stats(c), d_stats(c), nothing(host, c),
                             c.tensor("d_x"));
    });
    Signature upsampled{
        .name = "upsampled_group_stats",
        .doc = "The same of x's bilinear upsampling to size H, W, in closed form.",
        .inputs = {tensor("x", "N,C,h,w")},
        .options = {sizes("size", {"height", "width"}), integer("groups"), real("eps", 1e-5)},
        .outputs = {{"mean", "N,groups"}, {"rstd", "N,groups", false, 1}},
        .run =
            [](Host &host, const OperatorCall &c) {
                upsampled_group_stats(host, c.tensor("x"), c.integer("height"), c.integer("width"), c.real("eps"),
                                      stats(c));
            },
        .conditions = {groups},
        .addressed = {{"size", "height,width"}},
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature upsampled_backward =
        add_backward(upsampled, {"x", "mean", "rstd"}, [](Host &host, const OperatorCall &c) {
            upsampled_group_stats_backward(host, c.tensor("x"), c.integer("height"), c.integer("width"), stats(c),
                                           d_stats(c), nothing(host, c), c.tensor("d_x"));
        });
    return {own, own_backward, upsampled, upsampled_backward};
}

}  // namespace upwell
