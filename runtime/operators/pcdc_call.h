// The kernels of paired central difference convolution on one key and query: their common arguments, and adjoints, part
// by part where maps are large.
#pragma once

#include <optional>

#include "operators/pcdc_tiles.h"

namespace upwell::pcdc {

// Channels of a call: N samples of D = G E channels of key and query, L = G `before` of the difference.
struct Channels {
    int64_t N, groups, of_group, before, padded;  // padded: of a group, as kernels want them
};

// One sample and one group of channels.
struct Part {
    int64_t sample, group;
};

// A kernel's arguments, those that samples or groups have shares of known as such.
class Arguments {
public:
    // The dimensions of samples and of groups, and how many places of the latter are one group's; none: -1.
    void add(const std::string &name, const Tensor &tensor, int samples = -1, int groups = -1, int64_t each = 1);
    void add(const std::string &name, int64_t integer) { list_.push_back({name, integer, -1, -1, 1}); }
    void add(const std::string &name, double real) { list_.push_back({name, real, -1, -1, 1}); }
    void add(const Arguments &more) { list_.insert(list_.end(), more.list_.begin(), more.list_.end()); }

    std::vector<NamedArgument> of(const std::optional<Part> &part) const;

private:
    struct Shared {
        std::string name;
        Value value;
        int samples, groups;
        int64_t each;
    };
    std::vector<Shared> list_;
};

// What an adjoint finds of the weights, N,G,columns,padded (RecordColumns), and of the maps.
struct Backward {
    Tensor weights;
    std::optional<Tensor> d_query = {};   // N,D,H,W; none: not asked for
    std::optional<Tensor> d_key = {};     // the same, with taps
    std::optional<Tensor> d_coarse = {};  // N,G,h + 2,w + 2,padded, where the key is upsampled
};

class Call {
public:
    // Of weights: key N,G,taps,E,padded, query N,G,E,padded, bias N,G,padded; centres N,D; maps N,D,H,W, contiguous.
    struct Weights {
        Tensor key_centre, key, query_centre, query, bias;
    };

    // The key is a map like the query, blurred or not.
    Call(Host &host, const Channels &channels, const Tensor &key, const Tensor &query, const Weights &weights,
         const std::vector<Offset> &taps, bool blur);
    // It is the upsampling of coarse, N,G,h + 2,w + 2,padded.
    Call(Host &host, const Channels &channels, const Tensor &coarse, const Tensor &query, const Weights &weights);

    // Runs pcdc_<pass> or pcdc_upsampled_<pass>; difference: pass is empty. rest: the pass's own arguments.
    void run(const std::string &pass, const Arguments &rest, const std::optional<Part> &part = {}) const;

    // The same of an adjoint: with its record, and what is in it taken out. hidden: 0, or columns of the compressor.
    void run_backward(const std::string &pass, const Arguments &rest, int64_t hidden, const Backward &result) const;

    RecordColumns<int64_t> columns() const { return {channels.of_group, taps}; }

    const Tiling tiling;
    const Channels channels;
    const int64_t taps;

private:
    Call(Host &host, const Channels &channels, const Tensor &query, const std::vector<Offset> &taps);
    void add_query(const Tensor &query, const Weights &weights);
    Record<int64_t> record(int64_t columns) const;
    void collect(const Tensor &record, int64_t columns, const Backward &result, const std::optional<Part> &part) const;
    void collect_map(const Tensor &frames, double blur, int64_t reach_x, int64_t reach_y, const Tensor &d_map) const;

    Host &host_;
    double blur_ = 0;
    Arguments common_;
    std::optional<Cells> cells_;
};

}  // namespace upwell::pcdc
