// What operators with taps at listed offsets are made of: sums over them and their derivatives, and softmaxes over
// them.
#pragma once

#include <array>

#include "grid/bordered_axis.h"
#include "host.h"

namespace upwell {

struct Offset {
    int64_t rows, columns;  // cells
};

// All of rows and columns within so many cells, row-major.
std::vector<Offset> square_of_offsets(int64_t radius);

class ListedTaps {
public:
    // Pixels N,C,H,W of cells N,C,h,w; h divides H and w divides W.
    ListedTaps(Host &host, Beyond beyond, const std::vector<Offset> &offsets, int64_t h, int64_t w, int64_t W);

    // value N,C,h,w, weight N,T,H,W, output N,C,H,W; of one dtype, contiguous. Of the two derivatives C is not 0.
    void sum(const Tensor &value, const Tensor &weight, const Tensor &output) const;
    void d_weight(const Tensor &value, const Tensor &d_output, const Tensor &d_weight) const;
    void d_value(const Tensor &weight, const Tensor &d_output, const Tensor &d_value) const;

private:
    Tensor pixels(const Tensor &map) const;  // of each row of cells

    Host &host_;
    const int64_t h_, w_;
    std::vector<NamedArgument> taps_, lines_;
    int64_t reach_x_ = 0, reach_y_ = 0;
    std::vector<int> columns_, rows_;
};

// Of scores N,T,H,W and factors T: the softmax over taps times the factors, divided by its sum, or by 1e-7 if that is
// more.
void scaled_softmax(Host &host, const Tensor &scores, const Tensor &factors, const Tensor &weights);
// d_factors_of_pixels N,T,H,W: d_factors is its sum over pixels and samples. It and d_scores may be no others.
void scaled_softmax_backward(Host &host, const Tensor &scores, const Tensor &factors, const Tensor &d_weights,
                             const Tensor &d_scores, const Tensor &d_factors_of_pixels);

}  // namespace upwell
