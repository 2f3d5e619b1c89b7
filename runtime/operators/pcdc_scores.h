// Scores of ReSFU's PCDC block (arXiv 2407.02283, Sec. 4.2.2): group normalisation of key and query, paired central
// difference convolution, rectifier, compressor, rectifier, group normalisation, 1x1 convolution.
#pragma once

#include <array>

#include "operators/pcdc_fold.h"

namespace upwell::pcdc {

struct ScoresOptions {
    int64_t groups;       // of the convolutions
    int64_t norm_groups;  // of the normalisations
    bool relu;            // between difference and compressor
    bool blur;            // the key, which then is a map like the query
    // Taps are so far apart; none: the key is a low-res map, which is upsampled, and taps are one of its pixels apart.
    std::optional<Ratio> ratio;
};

// N samples, D channels of key and query in G groups, L of the difference, M hidden, S scores. All contiguous.
struct ScoresInputs {
    Tensor key;              // N,D,H,W; without a ratio N,D,h,w
    Tensor query;            // N,D,H,W
    Tensor norm_weight;      // D
    Tensor weight;           // L,D / G,K,K
    Tensor bias;             // L
    Tensor compress_weight;  // M,L / G
    Tensor compress_bias;    // M
    Tensor hidden_weight;    // M: of the normalisation of hidden channels
    Tensor hidden_bias;      // M
    Tensor score_weight;     // S,M
    Tensor score_bias;       // S
};

struct ScoresOutputs {
    Tensor scores;      // N,S,H,W
    Tensor statistics;  // 6,N,norm_groups: mean and rstd of key, query and hidden channels
    Tensor coarse;      // without a ratio: what the key becomes at low resolution, N,groups,h + 2,w + 2,padded channels
    // The hidden channels after their rectifier, N,groups,H * W,padded channels, pixels as tilings have them; without
    // elements, or on a GPU, they are found anew by every pass that needs them: the same bits.
    Tensor hidden;
};

void scores(Host &host, const ScoresInputs &in, const ScoresOptions &options, const ScoresOutputs &out);
// saved: outputs of the call; the scores are not needed. Gradients of all inputs are written.
void scores_backward(Host &host, const Tensor &d_scores, const ScoresInputs &in, const ScoresOptions &options,
                     const ScoresOutputs &saved, const ScoresInputs &d);

}  // namespace upwell::pcdc
