// The operators as C++ functions.
#include "../dispatch.h"
#include "../kernel.h"
#include "../operators.h"

namespace upwell::ops {

Tensor fns(const Tensor &value, const Tensor &logits, int64_t kernel, std::optional<int64_t> mask_ratio) {
    static const auto op = bridge::find_torch_operator<decltype(fns)>("upwell::fns");
    return op.call(value, logits, kernel, mask_ratio);
}

Tensor carafe(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups, std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(carafe)>("upwell::carafe");
    return op.call(value, logits, kernel, groups, border);
}

Tensor carafe_reassembly(const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups) {
    static const auto op = bridge::find_torch_operator<decltype(carafe_reassembly)>("upwell::carafe_reassembly");
    return op.call(value, weight, kernel, groups);
}

std::tuple<Tensor, Tensor> fns_and_weights(const Tensor &value, const Tensor &logits, int64_t kernel,
                                           std::optional<int64_t> mask_ratio) {
    static const auto op = bridge::find_torch_operator<decltype(fns_and_weights)>("upwell::fns_and_weights");
    return op.call(value, logits, kernel, mask_ratio);
}

std::tuple<Tensor, Tensor> carafe_and_weights(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups,
                                              std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(carafe_and_weights)>("upwell::carafe_and_weights");
    return op.call(value, logits, kernel, groups, border);
}

Tensor sapa_attention(const Tensor &value, const Tensor &query, const Tensor &key, int64_t kernel,
                      std::string_view border) {
    const char *const name = "sapa_attention";
    const bridge::Sizes low = bridge::check_map(name, "value", value), high = bridge::check_map(name, "query", query),
                        keys = bridge::check_map(name, "key", key);
    bridge::check_sizes(name, "query", high, {low[0], high[1], high[2], high[3]});
    bridge::check_sizes(name, "key", keys, {low[0], high[1], low[2], low[3]});
    for (const auto &[argument, tensor] : {std::pair{"value", &value}, std::pair{"key", &key}}) {
        bridge::check_device(name, argument, *tensor, "query", query);
        TORCH_CHECK((tensor->scalar_type() == at::kDouble) == (query.scalar_type() == at::kDouble), name, ": ",
                    argument, " should be ", query.scalar_type(), " like query but is ", tensor->scalar_type());
    }
    TORCH_CHECK(border == "zero" || border == "mask", name, ": border should be one of zero, mask but is '", border,
                "'");
    // A weight's gradient is the inner product of what comes in at the pixel and the value at the tap.
    static const auto dot = bridge::find_torch_operator<Tensor(const Tensor &, const Tensor &, int64_t, int64_t)>(
        "upwell::carafe_reassembly_d_weight");
    const at::ScalarType type = query.scalar_type() == key.scalar_type() ? query.scalar_type() : at::kFloat;
    return carafe(value, dot.call(query.to(type), key.to(type), kernel, 1), kernel, 1, border);
}

Tensor cross_attention(const Tensor &query, const Tensor &key, const Tensor &value, int64_t heads,
                       std::string_view window, at::IntArrayRef kernel, double ratio, bool mean_heads) {
    static const auto op = bridge::find_torch_operator<decltype(cross_attention)>("upwell::cross_attention");
    return op.call(query, key, value, heads, window, kernel, ratio, mean_heads);
}

Tensor adaptive_conv(const Tensor &value, const Tensor &weight, int64_t kernel) {
    static const auto op = bridge::find_torch_operator<decltype(adaptive_conv)>("upwell::adaptive_conv");
    return op.call(value, weight, kernel);
}

Tensor range_weights(const Tensor &query, const Tensor &key, const Tensor &spatial, int64_t kernel) {
    static const auto op = bridge::find_torch_operator<decltype(range_weights)>("upwell::range_weights");
    return op.call(query, key, spatial, kernel);
}

Tensor local_attention(const Tensor &value, const Tensor &logits) {
    static const auto op = bridge::find_torch_operator<decltype(local_attention)>("upwell::local_attention");
    return op.call(value, logits);
}

Tensor bilinear(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
                std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(bilinear)>("upwell::bilinear");
    return op.call(value, size, scale_h, scale_w);
}

Tensor bicubic(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
               std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(bicubic)>("upwell::bicubic");
    return op.call(value, size, scale_h, scale_w);
}

Tensor nearest(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
               std::optional<double> scale_w) {
    static const auto op = bridge::find_torch_operator<decltype(nearest)>("upwell::nearest");
    return op.call(value, size, scale_h, scale_w);
}

std::tuple<Tensor, Tensor> group_stats(const Tensor &x, int64_t groups, double eps, bool blur) {
    static const auto op = bridge::find_torch_operator<decltype(group_stats)>("upwell::group_stats");
    return op.call(x, groups, eps, blur);
}

std::tuple<Tensor, Tensor> upsampled_group_stats(const Tensor &x, c10::SymIntArrayRef size, int64_t groups,
                                                 double eps) {
    static const auto op =
        bridge::find_torch_operator<decltype(upsampled_group_stats)>("upwell::upsampled_group_stats");
    return op.call(x, size, groups, eps);
}

std::tuple<Tensor, Tensor> fold_group_norm(const Tensor &weight, const Tensor &bias, const Tensor &norm_weight,
                                           const Tensor &norm_bias, const Tensor &mean, const Tensor &rstd) {
    static const auto op = bridge::find_torch_operator<decltype(fold_group_norm)>("upwell::fold_group_norm");
    return op.call(weight, bias, norm_weight, norm_bias, mean, rstd);
}

Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale, bool centred,
                     std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(guided_filter)>("upwell::guided_filter");
    return op.call(guide, input, radius, eps, scale, centred, border);
}

Tensor colour_guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale,
                            bool centred, std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(colour_guided_filter)>("upwell::colour_guided_filter");
    return op.call(guide, input, radius, eps, scale, centred, border);
}

Tensor pcdc(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias,
            int64_t groups, at::IntArrayRef dilation) {
    static const auto op = bridge::find_torch_operator<decltype(pcdc)>("upwell::pcdc");
    return op.call(key, query, weight, bias, groups, dilation);
}

Tensor pcdc_scores(const Tensor &key, const Tensor &query, const Tensor &norm_weight, const Tensor &weight,
                   const Tensor &bias, const Tensor &compress_weight, const Tensor &compress_bias,
                   const Tensor &hidden_weight, const Tensor &hidden_bias, const Tensor &score_weight,
                   const Tensor &score_bias, int64_t groups, int64_t norm_groups, at::OptionalSymIntArrayRef ratio,
                   bool relu, bool blur, int64_t keep_mib) {
    static const auto op = bridge::find_torch_operator<decltype(pcdc_scores)>("upwell::pcdc_scores");
    return op.call(key, query, norm_weight, weight, bias, compress_weight, compress_bias, hidden_weight, hidden_bias,
                   score_weight, score_bias, groups, norm_groups, ratio, relu, blur, query.is_cpu() ? keep_mib : 0);
}

std::tuple<Tensor, Tensor> wrc_data(const Tensor &x, const Tensor &response) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_data)>("upwell::wrc_data");
    return op.call(x, response);
}

std::tuple<Tensor, Tensor> wrc_prior(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_prior)>("upwell::wrc_prior");
    return op.call(x, mixed, lam, scale);
}

Tensor wrc_exact(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                 const Tensor &weight, int64_t scale, double tolerance, int64_t max_iterations) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_exact)>("upwell::wrc_exact");
    return op.call(precision, weighted, data_weight, data, weight, scale, tolerance, max_iterations);
}

Tensor wrc_spectral(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                    const Tensor &weight, int64_t scale, std::string_view centre) {
    static const auto op = bridge::find_torch_operator<decltype(wrc_spectral)>("upwell::wrc_spectral");
    return op.call(precision, weighted, data_weight, data, weight, scale, centre);
}

Tensor transposed_conv(const Tensor &input, const Tensor &weight, const std::optional<Tensor> &bias,
                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef output_padding,
                       int64_t groups) {
    static const auto op = bridge::find_torch_operator<decltype(transposed_conv)>("upwell::transposed_conv");
    return op.call(input, weight, bias, stride, padding, output_padding, groups);
}

Tensor sample_at_offsets(const Tensor &value, const Tensor &offsets, int64_t scale, int64_t groups, bool high_res) {
    static const auto op = bridge::find_torch_operator<decltype(sample_at_offsets)>("upwell::sample_at_offsets");
    return op.call(value, offsets, scale, groups, high_res);
}

Tensor merge_kernels(const Tensor &large, const Tensor &small) {
    static const auto op = bridge::find_torch_operator<decltype(merge_kernels)>("upwell::merge_kernels");
    return op.call(large, small);
}

}  // namespace upwell::ops
