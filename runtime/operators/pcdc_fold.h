// Paired central difference convolution of normalised maps, v = bias + sum weight (normal key at taps - normal query),
// with the normalisations in weights that differ from sample to sample: a normalisation is affine once its statistics
// are known, and its bias cancels. And the way back, from gradients of those weights to what they are made of.
#pragma once

#include "operators/group_stats.h"
#include "operators/pcdc_call.h"
#include "operators/pcdc_taps.h"

namespace upwell::pcdc {

// Of the normalisations of both maps, with one weight D.
struct Norms {
    Tensor weight;
    GroupStats key, query;
};

class Fold {
public:
    // bias L. Without norms maps are taken as they are.
    Fold(Host &host, const Channels &channels, const Taps &taps, const Tensor &bias, const std::optional<Norms> &norms);

    Call::Weights weights() const;
    // Without the key's: of a call where it is upsampled.
    Call::Weights query_weights() const;
    // Of the key's part alone, for a call that has the key in the query's place too.
    Call::Weights key_weights() const;

    // The transpose of the weights of taps, where there are any, then of the query, as adjoints read it.
    enum class Columns { TapsAndQuery, Taps, Query };
    Tensor back(Columns which) const;

    // Of what an adjoint found, N,G,columns,padded.
    struct Found {
        const Tensor &weights;
        RecordColumns<int64_t> columns;
    };
    struct Gradients {
        Tensor d_taps;  // L,E,taps
        Tensor d_sum;   // L,E: what a weight's gradient is besides, whichever of a kernel's it is
        GroupStats d_key, d_query;
    };
    // key: of the key's part; rest: of the query's and the bias, perhaps by another call. d_bias L and d_norm_weight D
    // are written; the latter, d_key and d_query only with norms.
    Gradients unfold(const Found &key, const Found &rest, const Tensor &d_bias, const Tensor &d_norm_weight) const;

private:
    // What a normalisation does to weights, N,G,E, and to the map, N,D.
    struct Affine {
        Tensor scale, centre;
    };
    Affine affine(const GroupStats *stats) const;
    // d_stats of one of the maps, from the gradients of its scale and of its sums with C, N,G,E.
    GroupStats unfold_stats(const Affine &map, const Tensor &d_scale, const Tensor &shift, double sign) const;
    Tensor by_norm(const Tensor &of_channels) const;

    Host &host_;
    const Channels channels_;
    const int64_t taps_;
    const std::optional<Norms> norms_;
    const Affine key_, query_;
    const Tensor weight_;  // G,L / G,E,taps
    const Tensor bias_;    // G,L / G
    const Tensor sum_;     // G,L / G,E: minus the sum over taps, which is that over the kernel that they share
};

}  // namespace upwell::pcdc
