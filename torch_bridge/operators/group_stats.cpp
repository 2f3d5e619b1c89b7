// Statistics of group normalisations: of a map, of a map blurred, and of a map's bilinear upsampling.
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/group_stats.h"

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

// Calls run(host, x, statistics) for new statistics of these sizes, and returns them.
template<class Run> Pair on_host(const Tensor &given, const Sizes &sizes, const Run &run) {
    const Tensor x = given.contiguous(), mean = at::empty_symint(sizes, x.options()), rstd = at::empty_like(mean);
    on_queue(x, [&](const Queue *queue) {
        Host host(view(x).dtype, queue);
        run(host, view(x), {view(mean), view(rstd)});
    });
    return {mean, rstd};
}

// What the runtime sees of a gradient's tensors.
struct Call {
    upwell::Tensor x;
    GroupStats stats, d_stats;
    upwell::Tensor nothing, d_x;
};

// Calls run(host, call).
template<class Run>
void on_host(const Tensor &d_mean, const Tensor &d_rstd, const Tensor &x, const Tensor &mean, const Tensor &rstd,
             const Tensor &d_x, const Run &run) {
    const std::array kept{x.contiguous(), mean.contiguous(), rstd.contiguous(), d_mean.contiguous(),
                          d_rstd.contiguous()};
    on_queue(x, [&](const Queue *queue) {
        Host host(view(d_x).dtype, queue);
        run(host, Call{view(kept[0]),
                       {view(kept[1]), view(kept[2])},
                       {view(kept[3]), view(kept[4])},
                       host.constant(0, x.sizes().vec()),
                       view(d_x)});
    });
}

Pair group_stats(const Tensor &x, int64_t groups, double eps, bool blur) {
    const Sizes map = check_map("group_stats", "x", x);
    check_groups("group_stats", groups, map[1]);
    check_eps("group_stats", eps);
    const Sizes sizes{map[0], SymInt(groups)};
    if (x.is_meta() || x.numel() == 0) {
        return {at::empty_symint(sizes, x.options()).zero_(), at::empty_symint(sizes, x.options()).fill_(1)};
    }
    return on_host(x, sizes, [&](Host &host, const upwell::Tensor &map, const GroupStats &stats) {
        upwell::group_stats(host, map, blur, eps, stats);
    });
}

Tensor group_stats_backward(const Tensor &d_mean, const Tensor &d_rstd, const Tensor &x, const Tensor &mean,
                            const Tensor &rstd, bool blur) {
    check_statistics("group_stats_backward", x, d_mean, d_rstd, mean, rstd);
    Tensor d_x = at::empty_symint(x.sym_sizes(), x.options());
    if (x.is_meta() || x.numel() == 0) {
        return d_x;
    }
    on_host(d_mean, d_rstd, x, mean, rstd, d_x, [&](Host &host, const Call &call) {
        group_stats_adjoint(host, call.x, blur, call.stats, call.d_stats, call.nothing, call.d_x);
    });
    return d_x;
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
    return on_host(x, sizes, [&](Host &host, const upwell::Tensor &map, const GroupStats &stats) {
        upwell::upsampled_group_stats(host, map, size[0].expect_int(), size[1].expect_int(), eps, stats);
    });
}

Tensor upsampled_group_stats_backward(const Tensor &d_mean, const Tensor &d_rstd, const Tensor &x, const Tensor &mean,
                                      const Tensor &rstd, c10::SymIntArrayRef size) {
    check_statistics("upsampled_group_stats_backward", x, d_mean, d_rstd, mean, rstd);
    check_size("upsampled_group_stats_backward", "size", size);
    check_elements("upsampled_group_stats_backward", "size", size);
    Tensor d_x = at::empty_symint(x.sym_sizes(), x.options());
    if (x.is_meta() || x.numel() == 0) {
        return d_x;
    }
    on_host(d_mean, d_rstd, x, mean, rstd, d_x, [&](Host &host, const Call &call) {
        upsampled_group_stats_adjoint(host, call.x, size[0].expect_int(), size[1].expect_int(), call.stats,
                                      call.d_stats, call.nothing, call.d_x);
    });
    return d_x;
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
