// Statistics of group normalisations: of a map, of a map blurred, and of a map's bilinear upsampling.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../gaussian.h"
#include "../in_float.h"
#include "../kernel.h"
#include "../per_channel.h"
#include "../table.h"
#include "grid/upsampling.h"

namespace upwell::bridge {
namespace {

using Pair = std::tuple<Tensor, Tensor>;
using c10::SymInt;

void check_groups(const char *op, int64_t groups, const SymInt &channels) {
    TORCH_CHECK(groups >= 1, op, ": groups should be at least 1 but is ", groups);
    TORCH_SYM_CHECK((channels % groups).sym_eq(0), op, ": groups should divide the ", channels, " channels but is ",
                    groups);
}

void check_eps(const char *op, double eps) {
    TORCH_CHECK(std::isfinite(eps) && eps >= 0, op, ": eps should be at least 0 but is ", eps);
}

// What a backward operator gets besides x: each N,groups.
void check_statistics(const char *op, const Tensor &x, const Tensor &d_mean, const Tensor &d_rstd, const Tensor &mean,
                      const Tensor &rstd) {
    const Sizes map = check_map(op, "x", x);
    const auto bad = [&] {
        return c10::str(op, ": mean should be [", map[0], ", groups] with groups that divide the ", map[1],
                        " channels but is ", format(mean.sym_sizes()));
    };
    TORCH_CHECK(mean.dim() == 2, bad());
    TORCH_SYM_CHECK(mean.sym_size(1).sym_ge(1), bad());
    TORCH_SYM_CHECK((map[1] % mean.sym_size(1)).sym_eq(0), bad());
    const std::array<std::pair<const char *, const Tensor *>, 4> all{
        {{"d_mean", &d_mean}, {"d_rstd", &d_rstd}, {"mean", &mean}, {"rstd", &rstd}}};
    for (const auto &[name, statistic] : all) {
        check_alike(op, name, *statistic, "x", x);
        check_shape(op, name, *statistic, {map[0], mean.sym_size(1)});
    }
}

Pair group_stats(const Tensor &x, int64_t groups, double eps, bool blur) {
    const Sizes map = check_map("group_stats", "x", x);
    check_groups("group_stats", groups, map[1]);
    check_eps("group_stats", eps);
    const Sizes sizes{map[0], SymInt(groups)};
    if (x.is_meta() || x.numel() == 0) {
        return {at::empty_symint(sizes, x.options()).zero_(), at::empty_symint(sizes, x.options()).fill_(1)};
    }
    const Tensor statistics = at::empty({x.size(0), groups, 2}, x.options());
    run_kernel_on("group_statistics", x, {x.contiguous(), gaussian_side(blur), x.size(1) / groups, statistics});
    return {statistics.select(2, 0).clone(), (statistics.select(2, 1) + eps).rsqrt()};
}

// d_variance = -rstd^3 / 2 d_rstd; the variance's gradient at a pixel is 2 (x - mean) / count.
Tensor group_stats_backward(const Tensor &d_mean, const Tensor &d_rstd, const Tensor &x, const Tensor &mean,
                            const Tensor &rstd, bool blur) {
    check_statistics("group_stats_backward", x, d_mean, d_rstd, mean, rstd);
    Tensor d_x = at::empty_symint(x.sym_sizes(), x.options());
    if (x.is_meta() || x.numel() == 0) {
        return d_x;
    }
    const double count = static_cast<double>(x.size(1) / mean.size(1) * x.size(2) * x.size(3));
    const Tensor scale = d_rstd * rstd.pow(3) * (-1 / count);
    const Tensor shift = d_mean / count - scale * mean;
    run_kernel_on("group_statistics_adjoint", x,
                  {x.contiguous(), gaussian_side(blur), per_channel(scale, x.size(1)).contiguous(),
                   per_channel(shift, x.size(1)).contiguous(), d_x});
    return d_x;
}

// U of an axis, as make_upsampling() has it, on the device of the map.
struct Upsampling {
    Tensor sums, diagonal, neighbour;
};

Upsampling upsampling(int64_t low, int64_t high, const Tensor &like) {
    const upwell::Upsampling u = make_upsampling(low, high);
    return {table(u.sums, like), table(u.diagonal, like), table(u.neighbour, like)};
}

// U^T U x along an axis (2: rows, 3: columns).
Tensor apply(const Upsampling &u, const Tensor &x, int64_t axis) {
    const auto along = [&](const Tensor &t) { return axis == 2 ? t.unsqueeze(1) : t; };
    Tensor y = x * along(u.diagonal);
    const int64_t n = x.size(axis) - 1;
    y.narrow(axis, 1, n).add_(x.narrow(axis, 0, n) * along(u.neighbour));
    y.narrow(axis, 0, n).add_(x.narrow(axis, 1, n) * along(u.neighbour));
    return y;
}

struct UpsampledGroups {
    UpsampledGroups(const Tensor &x, int64_t H, int64_t W)
        : rows(upsampling(x.size(2), H, x)), columns(upsampling(x.size(3), W, x)),
          share(rows.sums.unsqueeze(1) * columns.sums / static_cast<double>(H * W)), pixels(H * W) {}

    Upsampling rows, columns;
    Tensor share;  // h,w: of each cell in the mean
    int64_t pixels;

    Tensor squared(const Tensor &centred) const { return apply(columns, apply(rows, centred, 2), 3); }
};

// Sums over a group's channels and pixels, [N, C, h, w] -> [N, groups]: channel by channel, because torch splits the
// sum of a single number between its threads, and then its bits depend on how many there are.
Tensor sum_of_groups(const Tensor &x, int64_t groups) {
    return x.sum(3).sum(2).view({x.size(0), groups, -1}).sum(2);
}

Tensor centre(const Tensor &x, const Tensor &mean) {
    return x - per_channel(mean, x.size(1)).unsqueeze(2).unsqueeze(3);
}

Pair upsampled_group_stats(const Tensor &x, c10::SymIntArrayRef size, int64_t groups, double eps) {
    const Sizes map = check_map("upsampled_group_stats", "x", x);
    check_size("upsampled_group_stats", "size", size);
    check_elements("upsampled_group_stats", "size", size);
    check_groups("upsampled_group_stats", groups, map[1]);
    check_eps("upsampled_group_stats", eps);
    const Sizes sizes{map[0], SymInt(groups)};
    if (x.is_meta() || x.numel() == 0) {
        return {at::empty_symint(sizes, x.options()).zero_(), at::empty_symint(sizes, x.options()).fill_(1)};
    }
    const int64_t each = x.size(1) / groups;
    const UpsampledGroups up(x, size[0].expect_int(), size[1].expect_int());
    // Centred by the plain mean first, so that float32 loses nothing where the mean is large.
    const Tensor near = sum_of_groups(x, groups) / static_cast<double>(each * x.size(2) * x.size(3));
    const Tensor rest = sum_of_groups(centre(x, near) * up.share, groups) / static_cast<double>(each);
    const Tensor mean = near + rest, centred = centre(x, mean);
    const Tensor variance =
        sum_of_groups(centred * up.squared(centred), groups) / static_cast<double>(each * up.pixels);
    return {mean, (variance.clamp_min(0) + eps).rsqrt()};
}

Tensor upsampled_group_stats_backward(const Tensor &d_mean, const Tensor &d_rstd, const Tensor &x, const Tensor &mean,
                                      const Tensor &rstd, c10::SymIntArrayRef size) {
    check_statistics("upsampled_group_stats_backward", x, d_mean, d_rstd, mean, rstd);
    check_size("upsampled_group_stats_backward", "size", size);
    check_elements("upsampled_group_stats_backward", "size", size);
    if (x.is_meta() || x.numel() == 0) {
        return at::empty_symint(x.sym_sizes(), x.options()).zero_();
    }
    const UpsampledGroups up(x, size[0].expect_int(), size[1].expect_int());
    const double each = static_cast<double>(x.size(1) / mean.size(1));
    const auto spread = [&](const Tensor &t) { return per_channel(t, x.size(1)).unsqueeze(2).unsqueeze(3); };
    const Tensor of_mean = spread(d_mean / each) * up.share;
    const Tensor of_rstd =
        spread(d_rstd * rstd.pow(3) * (-1 / (each * static_cast<double>(up.pixels)))) * up.squared(centre(x, mean));
    return of_mean + of_rstd;
}

Tensor or_zeros(const Tensor &gradient, const Tensor &like) {
    return gradient.defined() ? gradient : at::zeros_like(like);
}

class GroupStats : public torch::autograd::Function<GroupStats> {
public:
    static constexpr bool is_traceable = true;

    static variable_list forward(AutogradContext *context, const Tensor &x, int64_t groups, double eps, bool blur) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        auto [mean, rstd] = ops::group_stats(x, groups, eps, blur);
        context->save_for_backward({x, mean, rstd});
        context->saved_data["blur"] = blur;
        return {mean, rstd};
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        const variable_list saved = context->get_saved_variables();
        variable_list result(4);
        result[0] = ops::group_stats_backward(or_zeros(gradients[0], saved[1]), or_zeros(gradients[1], saved[2]),
                                              saved[0], saved[1], saved[2], context->saved_data["blur"].toBool());
        return result;
    }
};

class UpsampledGroupStats : public torch::autograd::Function<UpsampledGroupStats> {
public:
    static constexpr bool is_traceable = true;

    static variable_list forward(AutogradContext *context, const Tensor &x, c10::SymIntArrayRef size, int64_t groups,
                                 double eps) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        auto [mean, rstd] = ops::upsampled_group_stats(x, size, groups, eps);
        context->save_for_backward({x, mean, rstd});
        save_size(context, size[0], size[1]);
        return {mean, rstd};
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        const variable_list saved = context->get_saved_variables();
        variable_list result(4);
        result[0] =
            ops::upsampled_group_stats_backward(or_zeros(gradients[0], saved[1]), or_zeros(gradients[1], saved[2]),
                                                saved[0], saved[1], saved[2], saved_size(context));
        return result;
    }
};

Pair differentiable(const Tensor &x, int64_t groups, double eps, bool blur) {
    const variable_list result = GroupStats::apply(x, groups, eps, blur);
    return {result[0], result[1]};
}

Pair differentiable_upsampled(const Tensor &x, c10::SymIntArrayRef size, int64_t groups, double eps) {
    const variable_list result = UpsampledGroupStats::apply(x, size, groups, eps);
    return {result[0], result[1]};
}

void implement(torch::Library &m) {
    m.impl("group_stats", in_float<group_stats>);
    m.impl("group_stats_backward", in_float<group_stats_backward>);
    m.impl("upsampled_group_stats", in_float<upsampled_group_stats>);
    m.impl("upsampled_group_stats_backward", in_float<upsampled_group_stats_backward>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

std::tuple<Tensor, Tensor> group_stats(const Tensor &x, int64_t groups, double eps, bool blur) {
    static const auto op = bridge::find_torch_operator<decltype(group_stats)>("upwell::group_stats");
    return op.call(x, groups, eps, blur);
}

Tensor group_stats_backward(const Tensor &d_mean, const Tensor &d_rstd, const Tensor &x, const Tensor &mean,
                            const Tensor &rstd, bool blur) {
    static const auto op = bridge::find_torch_operator<decltype(group_stats_backward)>("upwell::group_stats_backward");
    return op.call(d_mean, d_rstd, x, mean, rstd, blur);
}

std::tuple<Tensor, Tensor> upsampled_group_stats(const Tensor &x, c10::SymIntArrayRef size, int64_t groups,
                                                 double eps) {
    static const auto op =
        bridge::find_torch_operator<decltype(upsampled_group_stats)>("upwell::upsampled_group_stats");
    return op.call(x, size, groups, eps);
}

Tensor upsampled_group_stats_backward(const Tensor &d_mean, const Tensor &d_rstd, const Tensor &x, const Tensor &mean,
                                      const Tensor &rstd, c10::SymIntArrayRef size) {
    static const auto op =
        bridge::find_torch_operator<decltype(upsampled_group_stats_backward)>("upwell::upsampled_group_stats_backward");
    return op.call(d_mean, d_rstd, x, mean, rstd, size);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("group_stats(Tensor x, int groups, float eps=1e-5, bool blur=False) -> (Tensor, Tensor)");
    m.def(
        "group_stats_backward(Tensor d_mean, Tensor d_rstd, Tensor x, Tensor mean, Tensor rstd, bool blur) -> Tensor");
    m.def("upsampled_group_stats(Tensor x, SymInt[2] size, int groups, float eps=1e-5) -> (Tensor, Tensor)");
    m.def("upsampled_group_stats_backward(Tensor d_mean, Tensor d_rstd, Tensor x, Tensor mean, Tensor rstd, "
          "SymInt[2] size) -> Tensor");
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
    m.impl("group_stats", differentiable);
    m.impl("group_stats_backward", torch::autograd::autogradNotImplementedFallback());
    m.impl("upsampled_group_stats", differentiable_upsampled);
    m.impl("upsampled_group_stats_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
