// The transposed convolution in groups, and its gradients.
#pragma once

#include <array>

#include "host.h"

namespace upwell {

struct TransposedConvOptions {
    std::array<int64_t, 2> stride, padding, output_padding;  // of rows, of columns
    int64_t groups;

    // Rows (axis 0) or columns of the output, from those of the input and the kernel.
    template<class Size> Size high(int axis, const Size &low, const Size &kernel) const {
        return (low - 1) * stride[axis] - 2 * padding[axis] + kernel + output_padding[axis];
    }
    // Rounded up to whole blocks of stride[axis], as kernels take them.
    template<class Size> Size whole(int axis, const Size &high) const {
        return (high + stride[axis] - 1) / stride[axis] * stride[axis];
    }
};

// input N,C,h,w; weight C,D/groups,KH,KW; bias D, without data: none; output N,D,H,W; contiguous, of one dtype, with
// sizes that fit the options. The result has elements; what it is a sum of may have none.
void transposed_conv(const TransposedConvOptions &options, const Tensor &input, const Tensor &weight,
                     const Tensor &bias, const Tensor &output, const Queue *queue);
void transposed_conv_d_input(const TransposedConvOptions &options, const Tensor &d_output, const Tensor &weight,
                             const Tensor &d_input, const Queue *queue);
void transposed_conv_d_weight(const TransposedConvOptions &options, const Tensor &d_output, const Tensor &input,
                              const Tensor &d_weight, const Queue *queue);
void transposed_conv_d_bias(const Tensor &d_output, const Tensor &d_bias, const Queue *queue);

}  // namespace upwell
