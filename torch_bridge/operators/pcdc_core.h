// The scores of a PCDC block with its first normalisation folded into weights that differ from sample to sample, and
// their gradients: what the kernels compute, as tensors of torch.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "pcdc_tiles.h"

namespace upwell::bridge::pcdc {

struct CoreOptions {
    int64_t groups;                              // of the convolutions
    int64_t norm_groups;                         // of the normalisation of the hidden channels
    bool relu;                                   // between difference and compressor
    bool blur;                                   // the key
    std::vector<int64_t> tap_rows, tap_columns;  // offsets of the taps, in pixels
};

// N samples, D channels of key and query in G groups, L of the difference, M hidden, K scores, T taps. The tensors of a
// call, in order; without taps, the key is the difference's key part at low resolution, one cell beyond the border.
struct CoreInputs {
    Tensor key;              // N,D,H,W; without taps N,L,h + 2,w + 2
    Tensor query;            // N,D,H,W
    Tensor query_centre;     // N,D: subtracted from the query; its gradient is not asked for
    Tensor query_weight;     // N,L,D/G
    Tensor bias;             // N,L
    Tensor compress_weight;  // M,L/G
    Tensor compress_bias;    // M
    Tensor hidden_weight;    // M: of the normalisation
    Tensor hidden_bias;      // M
    Tensor score_weight;     // K,M
    Tensor score_bias;       // K
    Tensor key_centre;       // N,D, with taps
    Tensor key_weight;       // N,L,D/G,T, with taps; in an operator's list N,L,D/G,K,K, taps one ratio apart

    explicit CoreInputs(at::TensorList list);
    bool upsampled() const { return !key_weight.defined(); }
};

struct CoreOutputs {
    Tensor scores;      // N,K,H,W
    Tensor mean, rstd;  // N,norm_groups: of the hidden channels
};

CoreOutputs core_forward(const CoreInputs &in, const CoreOptions &options);

// Gradients of the inputs in their order; of the centres none (undefined).
std::vector<Tensor> core_backward(const Tensor &d_scores, const Tensor &mean, const Tensor &rstd, const CoreInputs &in,
                                  const CoreOptions &options);

// The difference alone: key N,D,H,W, weights as above, N,L,H,W.
struct DifferenceInputs {
    Tensor key, query, key_weight, query_weight, bias;
};
Tensor difference_forward(const DifferenceInputs &in, int64_t groups, const std::vector<Offset> &taps);
// Gradients of the five inputs.
std::vector<Tensor> difference_backward(const Tensor &d_output, const DifferenceInputs &in, int64_t groups,
                                        const std::vector<Offset> &taps);

}  // namespace upwell::bridge::pcdc
