// The language in which an operator is described: all else, kernels, gradients, the call from torch, follows from it.
//
//     #include <upwell/operator.h>
//     using namespace upwell;
//
//     UPWELL_OPERATOR(sapa, "Similarity-aware upsampling: each pixel takes from the cells that are like it") {
//         const Map value = low_res("value", "C"), key = low_res("key", "D"), query = high_res("query", "D");
//         const Taps taps{taps_per_side(5), Grid::LowRes, Sampling::Nearest, Border::Zero};
//         return reassemble(value, softmax(dot(query, key, taps)), taps);
//     }
//
// A description that makes no sense throws std::invalid_argument, which names the operator.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "grid/taps.h"

namespace upwell {

// A map [N, channels, rows, columns], by its number among those of the operator. low_res: h x w; high_res: H x W.
struct Map {
    int index = -1;
};

// `channels`: a name; maps of one name have as many. doc: what the argument is, for people.
Map low_res(const std::string &name, const std::string &channels, const std::string &doc = "");
Map high_res(const std::string &name, const std::string &channels, const std::string &doc = "");

// Taps at these places alone, in this order: rows and columns from the pixel's own, in steps between taps, at most 6
// away.
Taps taps_at(const std::vector<Offset> &offsets, Grid grid, const Sampling &sampling, Border border);

// Whether channels have weights in common, or each of G groups of them its own: then the operator takes `groups`.
enum class Groups { One, Any };

// The weights of a pixel's taps, in their order. As an argument: [N, taps, H, W], or [N, G*taps, H, W].
struct TapWeights {
    int map = -1, query = -1, key = -1;  // an argument, or the products of two maps
    int bias = -1;                       // what was added to products
    Taps taps{};
    Groups groups = Groups::One;
    int softmaxes = 0;
};

TapWeights tap_weights(const std::string &name, const Taps &taps, Groups groups = Groups::One,
                       const std::string &doc = "");

// Of each tap sum_c query(p, c) key(tap of p, c) over the channels (of a group): how alike they are. query: high-res,
// key: low-res. A tap that reads nothing has 0.
TapWeights dot(const Map &query, const Map &key, const Taps &taps, Groups groups = Groups::One);

// A number for each tap, wherever the pixel is: an argument [taps], or [G, taps] where each group has its own.
struct TapBias {
    int map = -1;
    Taps taps{};
    Groups groups = Groups::One;
};
TapBias tap_bias(const std::string &name, const Taps &taps, Groups groups = Groups::One, const std::string &doc = "");

// Products and a bias, of the same taps and groups: a relative position's own part in how alike they are.
TapWeights operator+(const TapWeights &products, const TapBias &bias);

// exp(weight) / sum over taps of exp(weight), in each group; a tap that a masked border leaves out has 0.
TapWeights softmax(const TapWeights &weights);

// The operator's result, [N, C, H, W]: sum over taps of weight(tap of p) value(tap of p), or the value at p itself.
struct Upsampled {
    Upsampled(const Map &value, const TapWeights &weights, const Taps &taps)
        : value(value), weights(weights), taps(taps) {}
    Upsampled(const TapWeights &weights);  // refuses: weights alone make no map

    Map value;
    TapWeights weights;
    Taps taps;
};

Upsampled reassemble(const Map &value, const TapWeights &weights, const Taps &taps);
Upsampled sample(const Map &value, Grid grid, const Sampling &sampling, Border border);

// The argument `kernel` of the operator: taps per side, odd; compiled for some. usual: what stands for it in texts.
int taps_per_side(int usual = 3);

// The argument `border` of the operator: one of these, the first if not given. Each has kernels of its own.
struct BorderChoice {
    std::string name;
    Border border;
    std::string suffix;  // of its kernels' names
};
Border border(std::initializer_list<BorderChoice> choices);

bool add_operator(const char *name, const char *doc, Upsampled (*body)());

}  // namespace upwell

// The body sees no arguments: it may be run for any number of taps and any border.
#define UPWELL_OPERATOR(NAME, DOC)                                                                                     \
    static upwell::Upsampled upwell_describe_##NAME();                                                                 \
    static const bool upwell_added_##NAME = upwell::add_operator(#NAME, DOC, upwell_describe_##NAME);                  \
    static upwell::Upsampled upwell_describe_##NAME()
