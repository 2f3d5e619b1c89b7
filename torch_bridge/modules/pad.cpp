// Borders.
#include "pad.h"

#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>

#include "../pad.h"

namespace upwell::nn {
namespace {

using at::Tensor;

std::vector<Tensor> wrapped(const Tensor &x, int64_t axis, int64_t count) {
    const int64_t length = x.size(axis), rest = count % length;
    std::vector<Tensor> parts{x.narrow(axis, length - rest, rest)};
    parts.insert(parts.end(), 2 * (count / length) + 1, x);
    parts.push_back(x.narrow(axis, 0, rest));
    return parts;
}

std::vector<Tensor> reflected(const Tensor &x, int64_t axis, int64_t count) {
    const int64_t last = x.size(axis) - 1;
    return {x.narrow(axis, 1, count).flip(axis), x, x.narrow(axis, last - count, count).flip(axis)};
}

}  // namespace

Tensor pad(const Tensor &x, int64_t count, const std::string &mode) {
    if (count == 0) {
        return x;
    }
    if (mode == "constant") {
        return at::constant_pad_nd(x, {count, count, count, count});
    }
    if (mode == "replicate") {
        return bridge::replicate_pad(x, count, count);
    }
    const auto parts = mode == "circular" ? wrapped : reflected;
    Tensor padded = x;
    for (const int64_t axis : {2, 3}) {
        padded = at::cat(parts(padded, axis, count), axis);
    }
    return padded;
}

}  // namespace upwell::nn
