// Rotary position embeddings.
#include "rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ops/addcmul.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

namespace upwell::nn {
namespace {

using at::Tensor;

constexpr double full_turn = 2 * std::numbers::pi;

// x cos(angle) + (-b, a) sin(angle), a and b the two halves of x's channels. x ...,D,H,W, angle D,H,W.
Tensor turn(const Tensor &x, const Tensor &angle) {
    const auto halves = x.chunk(2, -3);
    const Tensor cos = angle.cos().to(x.scalar_type()), sin = angle.sin().to(x.scalar_type());
    return at::addcmul(x * cos, at::cat({-halves[1], halves[0]}, -3), sin);
}

// x, or in float32 what has fewer bits: too few for angles of several turns.
Tensor of_32_bits(const Tensor &x) {
    return x.to(at::promote_types(x.scalar_type(), at::kFloat));
}

}  // namespace

LearnedRoPEImpl::LearnedRoPEImpl(int64_t channels) : dim(channels) {
    reset();
}

void LearnedRoPEImpl::reset() {
    const Tensor falling = at::pow(100, at::linspace(0, -1, dim / 4));
    const Tensor frequencies = at::cat({falling, falling}), at_rest = at::zeros_like(frequencies);
    const Tensor of_rows = at::cat({frequencies, at_rest}), of_columns = at::cat({at_rest, frequencies});
    freqs = register_parameter("freqs", full_turn * at::stack({of_rows, of_columns}));
}

Tensor LearnedRoPEImpl::forward(const Tensor &x) {
    const Tensor frequencies = of_32_bits(freqs).unsqueeze(-1).unsqueeze(-1);  // 2,D,1,1
    const auto places = [&](int64_t length) {
        return at::arange(length, frequencies.options()) / std::max<int64_t>(length - 1, 1);
    };
    return turn(x, frequencies[0] * places(x.size(2)).unsqueeze(1) + frequencies[1] * places(x.size(3)));
}

AxialRoPEImpl::AxialRoPEImpl(int64_t channels, int64_t of_heads, double of_base, std::optional<double> by)
    : dim(channels), heads(of_heads), base(of_base), rescale(by) {
    reset();
}

void AxialRoPEImpl::reset() {
    const int64_t quarter = dim / heads / 4;
    periods = register_buffer("periods", at::pow(base, at::arange(quarter, at::kFloat) / quarter));
}

Tensor AxialRoPEImpl::forward(const Tensor &x) {
    const int64_t H = x.size(2), W = x.size(3);
    Tensor turns = full_turn / of_32_bits(periods).unsqueeze(1).unsqueeze(2);
    if (is_training() && rescale) {
        const double reach = std::log(*rescale);
        turns = turns * at::empty({}, turns.options()).uniform_(-reach, reach).exp();
    }
    const auto places = [&](int64_t length) {  // the centres of pixels in -1 .. 1
        return (2 * at::arange(length, turns.options()) + 1) / length - 1;
    };
    const Tensor by_row = (turns * places(H).unsqueeze(1)).expand({-1, H, W});
    const Tensor by_column = (turns * places(W)).expand({-1, H, W});
    const Tensor angle = at::cat({by_row, by_column, by_row, by_column});
    return turn(x.unflatten(1, {heads, x.size(1) / heads}), angle).flatten(1, 2);
}

}  // namespace upwell::nn
