// The operators as C++ functions.
#include "../dispatch.h"
#include "../kernel.h"
#include "../kernel_check.h"
#include "../operators.h"
#include "upwell.h"

namespace upwell::ops {
namespace {

// The operator of torch that the function stands for.
template<auto function, class... Arguments> auto call(const char *name, Arguments &&...arguments) {
    static const auto op =
        bridge::find_torch_operator<std::remove_pointer_t<decltype(function)>>(c10::str("upwell::", name).c_str());
    return op.call(std::forward<Arguments>(arguments)...);
}

}  // namespace

Tensor fns(const Tensor &value, const Tensor &logits, int64_t kernel, std::optional<int64_t> mask_ratio) {
    return call<fns>("fns", value, logits, kernel, mask_ratio);
}

Tensor carafe(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups, std::string_view border) {
    return call<carafe>("carafe", value, logits, kernel, groups, border);
}

Tensor carafe_reassembly(const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups) {
    return call<carafe_reassembly>("carafe_reassembly", value, weight, kernel, groups);
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
    static const std::vector<int64_t> compiled = kernels("carafe");
    bridge::check_kernel(name, "kernel", kernel, compiled);
    // A weight's gradient is the inner product of what comes in at the pixel and the value at the tap.
    static const auto dot = bridge::find_torch_operator<Tensor(const Tensor &, const Tensor &, int64_t, int64_t)>(
        "upwell::carafe_reassembly_d_weight");
    const at::ScalarType type = query.scalar_type() == key.scalar_type() ? query.scalar_type() : at::kFloat;
    return carafe(value, dot.call(query.to(type), key.to(type), kernel, 1), kernel, 1, border);
}

Tensor cross_attention(const Tensor &query, const Tensor &key, const Tensor &value, int64_t heads,
                       std::string_view window, at::IntArrayRef kernel, double ratio, bool mean_heads) {
    return call<cross_attention>("cross_attention", query, key, value, heads, window, kernel, ratio, mean_heads);
}

Tensor adaptive_conv(const Tensor &value, const Tensor &weight, int64_t kernel) {
    return call<adaptive_conv>("adaptive_conv", value, weight, kernel);
}

Tensor range_weights(const Tensor &query, const Tensor &key, const Tensor &spatial, int64_t kernel) {
    return call<range_weights>("range_weights", query, key, spatial, kernel);
}

Tensor local_attention(const Tensor &value, const Tensor &logits) {
    return call<local_attention>("local_attention", value, logits);
}

Tensor bilinear(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
                std::optional<double> scale_w) {
    return call<bilinear>("bilinear", value, size, scale_h, scale_w);
}

Tensor bicubic(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
               std::optional<double> scale_w) {
    return call<bicubic>("bicubic", value, size, scale_h, scale_w);
}

Tensor nearest(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h,
               std::optional<double> scale_w) {
    return call<nearest>("nearest", value, size, scale_h, scale_w);
}

std::tuple<Tensor, Tensor> group_stats(const Tensor &x, int64_t groups, double eps, bool blur) {
    return call<group_stats>("group_stats", x, groups, eps, blur);
}

std::tuple<Tensor, Tensor> upsampled_group_stats(const Tensor &x, c10::SymIntArrayRef size, int64_t groups,
                                                 double eps) {
    return call<upsampled_group_stats>("upsampled_group_stats", x, size, groups, eps);
}

std::tuple<Tensor, Tensor> fold_group_norm(const Tensor &weight, const Tensor &bias, const Tensor &norm_weight,
                                           const Tensor &norm_bias, const Tensor &mean, const Tensor &rstd) {
    return call<fold_group_norm>("fold_group_norm", weight, bias, norm_weight, norm_bias, mean, rstd);
}

Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale, bool centred,
                     std::string_view border) {
    return call<guided_filter>("guided_filter", guide, input, radius, eps, scale, centred, border);
}

Tensor colour_guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale,
                            bool centred, std::string_view border) {
    return call<colour_guided_filter>("colour_guided_filter", guide, input, radius, eps, scale, centred, border);
}

Tensor pcdc(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias,
            int64_t groups, at::IntArrayRef dilation) {
    return call<pcdc>("pcdc", key, query, weight, bias, groups, dilation);
}

Tensor pcdc_scores(const Tensor &key, const Tensor &query, const Tensor &norm_weight, const Tensor &weight,
                   const Tensor &bias, const Tensor &compress_weight, const Tensor &compress_bias,
                   const Tensor &hidden_weight, const Tensor &hidden_bias, const Tensor &score_weight,
                   const Tensor &score_bias, int64_t groups, int64_t norm_groups, at::OptionalSymIntArrayRef ratio,
                   bool relu, bool blur, int64_t keep_mib) {
    return call<pcdc_scores>("pcdc_scores", key, query, norm_weight, weight, bias, compress_weight, compress_bias,
                             hidden_weight, hidden_bias, score_weight, score_bias, groups, norm_groups, ratio, relu,
                             blur, query.is_cpu() ? keep_mib : 0);
}

std::tuple<Tensor, Tensor> wrc_data(const Tensor &x, const Tensor &response) {
    return call<wrc_data>("wrc_data", x, response);
}

std::tuple<Tensor, Tensor> wrc_prior(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale) {
    return call<wrc_prior>("wrc_prior", x, mixed, lam, scale);
}

Tensor wrc_exact(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                 const Tensor &weight, int64_t scale, double tolerance, int64_t max_iterations) {
    return call<wrc_exact>("wrc_exact", precision, weighted, data_weight, data, weight, scale, tolerance,
                           max_iterations);
}

Tensor wrc_spectral(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                    const Tensor &weight, int64_t scale, std::string_view centre) {
    return call<wrc_spectral>("wrc_spectral", precision, weighted, data_weight, data, weight, scale, centre);
}

Tensor transposed_conv(const Tensor &input, const Tensor &weight, const std::optional<Tensor> &bias,
                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef output_padding,
                       int64_t groups) {
    return call<transposed_conv>("transposed_conv", input, weight, bias, stride, padding, output_padding, groups);
}

Tensor sample_at_offsets(const Tensor &value, const Tensor &offsets, int64_t scale, int64_t groups, bool high_res) {
    return call<sample_at_offsets>("sample_at_offsets", value, offsets, scale, groups, high_res);
}

Tensor index_unpool(const Tensor &value, const Tensor &index, int64_t scale, int64_t groups) {
    static const auto op = bridge::find_torch_operator<decltype(index_unpool)>("upwell::index_unpool");
    return op.call(value, index, scale, groups);
}

Tensor merge_kernels(const Tensor &large, const Tensor &small) {
    return call<merge_kernels>("merge_kernels", large, small);
}

}  // namespace upwell::ops
