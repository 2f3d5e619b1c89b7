// GroupNorm folded into a projection.
#include "norm.h"

#include <ATen/ops/baddbmm.h>

#include "../operators.h"
#include "layer.h"

namespace upwell::nn {

torch::nn::GroupNorm published_group_norm(int64_t channels) {
    int64_t groups = 32;
    while (channels % groups != 0) {
        groups--;
    }
    return torch::nn::GroupNorm(torch::nn::GroupNormOptions(groups, channels));
}

at::Tensor project_normalised(const char *module, const torch::nn::Conv2d &convolution,
                              const torch::nn::GroupNorm &norm, const at::Tensor &input) {
    check_own_class(module, "a projection", *convolution);
    if (!norm) {
        return convolution.ptr()->forward(input);
    }
    check_own_class(module, "a norm", *norm);
    if (!is_convolution(*convolution, 1) || !norm->options.affine()) {
        return convolution.ptr()->forward(norm.ptr()->forward(input));
    }
    // Under autocast too in the dtype of the parameters: 16 bits are too few for such weights.
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const at::Tensor x = input.to(convolution->weight.scalar_type());
    const int64_t groups = norm->options.num_groups();
    const auto [mean, rstd] = ops::group_stats(x, groups, norm->options.eps());
    const at::Tensor weight = convolution->weight.flatten(1),
                     bias = convolution->bias.defined() ? convolution->bias : weight.new_zeros(weight.size(0));
    const auto [folded_weight, folded_bias] = ops::fold_group_norm(weight, bias, norm->weight, norm->bias, mean, rstd);
    return at::baddbmm(folded_bias.unsqueeze(2), folded_weight, x.flatten(2)).unflatten(2, {x.size(2), x.size(3)});
}

}  // namespace upwell::nn
