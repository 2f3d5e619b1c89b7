// The operators as C++ functions on torch tensors: torch.ops.upwell.*, differentiable.
//
// value: N,C,h,w low-res. Output: N,C,H,W, contiguous. On a CPU or a CUDA device, float32, float64, float16 or bfloat16
// (computed in float32; weights and logits may be float32 beside a 16-bit value). Throw c10::Error on bad input.
#pragma once

#include <optional>
#include <string_view>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace upwell::ops {

using at::Tensor;

// logits: N,K*K,H,W. mask_ratio: high-res pixels between taps where the border mask is found; none: the true ratio.
Tensor fns(const Tensor &value, const Tensor &logits, int64_t kernel, std::optional<int64_t> mask_ratio = std::nullopt);

// logits: N,groups*K*K,H,W. border: "zero" or "mask".
Tensor carafe(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups = 1,
              std::string_view border = "zero");

// weight: N,groups*K*K,H,W, used as given.
Tensor carafe_reassembly(const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups = 1);

// Similarity-aware reassembly (SAPA, arXiv 2209.12866): carafe whose logits are the inner products of a pixel's query
// N,D,H,W with the keys N,D,h,w of the K*K cells around its own; a key outside is 0. border: "zero" or "mask".
Tensor sapa_attention(const Tensor &value, const Tensor &query, const Tensor &key, int64_t kernel,
                      std::string_view border = "zero");

// These, and the weights of taps, which nothing else keeps: N,K*K,H,W, of carafe N,groups,K*K,H,W.
std::tuple<Tensor, Tensor> fns_and_weights(const Tensor &value, const Tensor &logits, int64_t kernel,
                                           std::optional<int64_t> mask_ratio = std::nullopt);
std::tuple<Tensor, Tensor> carafe_and_weights(const Tensor &value, const Tensor &logits, int64_t kernel,
                                              int64_t groups = 1, std::string_view border = "zero");

// query N,heads*d,H,W, key N,heads*d,h,w, value N,C,h,w: softmax over a pixel's window of query . key / sqrt(d), times
// value. window: "shifted", "ratio", "masked" or "whole"; kernel: rows and columns of "shifted" and "masked" (odd);
// ratio: of "ratio". mean_heads: the mean of the heads' weights serves all channels.
Tensor cross_attention(const Tensor &query, const Tensor &key, const Tensor &value, int64_t heads = 1,
                       std::string_view window = "shifted", at::IntArrayRef kernel = {0, 0}, double ratio = 0,
                       bool mean_heads = false);

// weight N,K*K,H,W: each pixel of value N,C,H,W becomes the sum of the K*K around it, times weights; beyond the map it goes on
// in mirrors (FeatUp, arXiv 2403.10516).
Tensor adaptive_conv(const Tensor &value, const Tensor &weight, int64_t kernel);

// query, key N,D,H,W, spatial K*K -> N,K*K,H,W: over the pixels around each, beyond the map in mirrors, the softmax of query .
// key times spatial, divided by its sum, or by 1e-7 if that is more.
Tensor range_weights(const Tensor &query, const Tensor &key, const Tensor &spatial, int64_t kernel);

// Each pixel the softmax-weighted sum of the cells at T offsets from its own (UPLiFT, arXiv 2601.17950): logits N,T,H,W, T one
// of 5, 9, 13, 17 and 25; value N,C,h,w goes on as it ends. H,W: multiples of h,w.
Tensor local_attention(const Tensor &value, const Tensor &logits);

// size: H,W of the output. scale_h, scale_w: high-res pixels per low-res
// pixel where positions follow a scale_factor, as torch's interpolate has it; none: the true ratio H/h, W/w.
Tensor bilinear(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h = std::nullopt,
                std::optional<double> scale_w = std::nullopt);
Tensor bicubic(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h = std::nullopt,
               std::optional<double> scale_w = std::nullopt);
Tensor nearest(const Tensor &value, c10::SymIntArrayRef size, std::optional<double> scale_h = std::nullopt,
               std::optional<double> scale_w = std::nullopt);

// Statistics of group normalisations: mean and 1 / sqrt(variance + eps), both N,groups. blur: of x blurred by the 3x3
// Gaussian (sigma 1, replicate border). upsampled: of x's bilinear upsampling to size, in closed form.
std::tuple<Tensor, Tensor> group_stats(const Tensor &x, int64_t groups, double eps = 1e-5, bool blur = false);
std::tuple<Tensor, Tensor> upsampled_group_stats(const Tensor &x, c10::SymIntArrayRef size, int64_t groups,
                                                 double eps = 1e-5);

// A group normalisation of known statistics, N,groups, and the 1x1 convolution behind it, O,C, as one product for each
// sample: weights N,O,C and biases N,O.
std::tuple<Tensor, Tensor> fold_group_norm(const Tensor &weight, const Tensor &bias, const Tensor &norm_weight,
                                           const Tensor &norm_bias, const Tensor &mean, const Tensor &rstd);

// The guided filter (He et al., arXiv 1505.00996) per channel: guide N,D,H,W, input N,D,h,w, interpolated to H,W ->
// N,D,H,W. radius: of the box, in pixels of the guide. scale: fitted on every scale-th pixel. centred: the fit put back
// where those pixels are; published (false): as if they were the centres of scale x scale blocks. border: means are
// over the samples of a box "inside" the map, or samples go on beyond it in mirrors: "reflect" (torch, kornia: c b | a
// b c), "symmetric" (OpenCV: b a | a b c).
Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps = 1e-3, int64_t scale = 1,
                     bool centred = false, std::string_view border = "inside");

// The guided filter with a colour guide (He et al., Guided Image Filtering, TPAMI 2013, section 3.6): guide N,3,H,W,
// each channel of input N,C,h,w fitted to all three of it -> N,C,H,W. eps: positive. The rest as above.
Tensor colour_guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps = 1e-3,
                            int64_t scale = 1, bool centred = false, std::string_view border = "inside");

// Paired central difference convolution (ReSFU, arXiv 2407.02283, Eq. 11): conv(key, weight, dilation, groups,
// replicate border) - conv1x1(query, weight's sum over taps) + bias. key, query N,D,H,W, weight L,D/groups,K,K, bias L
// -> N,L,H,W.
Tensor pcdc(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias = {},
            int64_t groups = 1, at::IntArrayRef dilation = {1, 1});

// Scores of a PCDC block (Sec. 4.2.2): GroupNorm of key and query (statistics of each its own, norm_weight shared; its
// bias would cancel), pcdc, ReLU (if relu), grouped 1x1 convolution, ReLU, GroupNorm, 1x1 convolution.
// query N,D,H,W, weight L,D/groups,K,K, norm_weight D, bias L, compress_weight M,L/groups, score_weight S,M -> N,S,H,W.
// ratio {row high, row low, column high, column low}: key N,D,H,W, taps high / low pixels apart; blur: of the key by
// the 3x3 Gaussian before anything else. No ratio: key N,D,h,w stands for its bilinear upsampling, taps one of its
// pixels apart. keep_mib: on a CPU the M channels are kept between passes, and for the backward pass, where they take
// at most so many MiB in float32 (with M/groups as a multiple of 32); otherwise each pass finds them anew, with the
// same bits. -1: 64, or 0 without a ratio.
Tensor pcdc_scores(const Tensor &key, const Tensor &query, const Tensor &norm_weight, const Tensor &weight,
                   const Tensor &bias, const Tensor &compress_weight, const Tensor &compress_bias,
                   const Tensor &hidden_weight, const Tensor &hidden_bias, const Tensor &score_weight,
                   const Tensor &score_bias, int64_t groups, int64_t norm_groups,
                   at::OptionalSymIntArrayRef ratio = std::nullopt, bool relu = true, bool blur = false,
                   int64_t keep_mib = -1);

// Weighted reverse convolution (WRC, arXiv 2605.17472): the weight log1p(response^2) of each sample of x, and the
// weighted sample. All N,C,h,w.
std::tuple<Tensor, Tensor> wrc_data(const Tensor &x, const Tensor &response);

// Its prior: log1p(u^2) + lam and the same times z, with z the bilinear upsampling (align_corners=True) of x N,C,h,w,
// and u a 3x3 convolution (zero border) of the upsampled map whose channels were mixed before: mixed N,C*9,h,w, the
// taps of a channel side by side, row-major. lam C. -> two N,C,scale*h,scale*w.
std::tuple<Tensor, Tensor> wrc_prior(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale);

// The exact solution N,C,H,W of weighted reverse convolution (arXiv 2605.17472): X with
// (A' W A + P) X = A' W data + weighted, where A X is X convolved with weight C,KH,KW (circular border, centred on
// element KH/2, KW/2) at every scale-th pixel. precision P > 0, weighted N,C,H,W, H,W = scale h,w; data_weight W >= 0,
// data N,C,h,w. Conjugate gradients on a system of h w unknowns a plane end where every plane's residual, relative to
// its right side, is at most tolerance, or, with a warning, after max_iterations. A tolerance of 0: exactly
// max_iterations. Kernels of at most scale x scale elements need none.
Tensor wrc_exact(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                 const Tensor &weight, int64_t scale, double tolerance = 1e-4, int64_t max_iterations = 100);

// torch's conv_transpose2d without dilation, for groups of few channels: input N,C,h,w, weight C,D/groups,KH,KW, bias D
// -> N,D,H,W with H = (h - 1) stride - 2 padding + KH + output_padding, and W alike.
Tensor transposed_conv(const Tensor &input, const Tensor &weight, const std::optional<Tensor> &bias = {},
                       at::IntArrayRef stride = {1, 1}, at::IntArrayRef padding = {0, 0},
                       at::IntArrayRef output_padding = {0, 0}, int64_t groups = 1);

// Samples of value N,C,h,w at learned offsets (DySample, arXiv 2308.15085): pixel p reads p div scale + offset, clamped
// to the map, bilinearly -> N,C,scale*h,scale*w. offsets, in cells, of each group along x and along y:
// N,2*groups*scale*scale,h,w, channels (axis, group, sub-row, sub-column), or, high_res, N,2*groups,scale*h,scale*w;
// float32 beside a value of 16 bits too.
Tensor sample_at_offsets(const Tensor &value, const Tensor &offsets, int64_t scale, int64_t groups = 1,
                         bool high_res = false);

// Every pixel is its cell times its index (IndexNet, arXiv 1908.00672): value N,C,h,w, index N,groups,H,W, each for the
// channels of a group, -> N,C,H,W; pixel p of H belongs to cell floor(p h/H). scale > 1: index
// N,groups*scale*scale,h,w, channels (group, sub-row, sub-column), -> N,C,scale*h,scale*w.
Tensor index_unpool(const Tensor &value, const Tensor &index, int64_t scale = 1, int64_t groups = 1);

// large A,B,KH,KW plus small A,B,kh,kw at its centre; KH - kh and KW - kw are even.
Tensor merge_kernels(const Tensor &large, const Tensor &small);

// The published closed form of weighted reverse convolution (arXiv 2605.17472), by Fourier transforms. precision,
// weighted N,C,H,W, H,W = scale times h,w; data_weight, data (samples times their weight) N,C,h,w; weight C,K,K ->
// N,C,H,W. centre: what the weight is rolled by half of, "image" (published) or "kernel", which is itself.
Tensor wrc_spectral(const Tensor &precision, const Tensor &weighted, const Tensor &data_weight, const Tensor &data,
                    const Tensor &weight, int64_t scale, std::string_view centre = "image");

}  // namespace upwell::ops
