// Statistics of group normalisations: of a map, of a map blurred, and of a map's bilinear upsampling.
#pragma once

#include "host.h"

namespace upwell {

// Of the groups of a map's channels: mean and 1 / sqrt(variance + eps), each N,groups, contiguous. Or gradients of
// them.
struct GroupStats {
    Tensor mean, rstd;
};

// x N,C,H,W. blur: by the 3x3 Gaussian of ReSFU's detail branch (sigma 1, border repeated).
void group_stats(Host &host, const Tensor &x, bool blur, double eps, const GroupStats &stats);
// d_x = added + the gradient; all maps N,C,H,W.
void group_stats_backward(Host &host, const Tensor &x, bool blur, const GroupStats &stats, const GroupStats &d_stats,
                          const Tensor &added, const Tensor &d_x);

// Of the upsampling of x N,C,h,w to H x W, which is not made. Contiguous.
void upsampled_group_stats(Host &host, const Tensor &x, int64_t H, int64_t W, double eps, const GroupStats &stats);
void upsampled_group_stats_backward(Host &host, const Tensor &x, int64_t H, int64_t W, const GroupStats &stats,
                                    const GroupStats &d_stats, const Tensor &added, const Tensor &d_x);

// rstd = 1 / sqrt(variance + eps), N,groups, contiguous; the variances lie one distance apart.
void find_rstd(Host &host, const Tensor &variance, double eps, const Tensor &rstd);

// value N,groups for every channel, N,channels.
Tensor per_channel(Host &host, const Tensor &value, int64_t channels);

}  // namespace upwell
