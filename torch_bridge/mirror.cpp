// Borders that mirror the map.
#include "mirror.h"

#include <algorithm>

#include <ATen/ops/zeros.h>

namespace upwell::bridge {
namespace {

using at::Tensor;

Tensor every(const Tensor &x, int64_t axis, int64_t first, int64_t count, int64_t step) {
    return x.slice(axis, first, first + (count - 1) * step + 1, step);
}

Tensor zeros_along(const Tensor &x, int64_t axis, int64_t length) {
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes[axis] = length;
    return at::zeros(sizes, x.options());
}

Tensor turn(const Tensor &x, int64_t axis, bool turned) {
    return turned ? x.flip(axis) : x;
}

}  // namespace

Mirror::Mirror(int64_t pixels, int64_t samples, int64_t step, int64_t more, bool repeat_edge)
    : pixels_(pixels), samples_(samples), step_(step), more_(more) {
    const int64_t whole = std::min(pixels, step * samples);
    own_.push_back({place(0), 0, whole, 1, false});
    if (whole < pixels) {
        own_.push_back({place(whole), whole, pixels - whole, 1, false});
    }
    all_ = own_;
    add_border(-more, 0, repeat_edge);
    add_border(samples, samples + more, repeat_edge);
}

// The line of samples, forwards and backwards in turn, goes on for ever.
void Mirror::add_border(int64_t first, int64_t last, bool repeat_edge) {
    const int64_t period = std::max<int64_t>(samples_ - (repeat_edge ? 0 : 1), 1);
    for (int64_t i = first; i < last; i += all_.back().count) {
        const int64_t copy = (i < 0 ? i - period + 1 : i) / period, within = i - copy * period;
        const int64_t count = std::min(last - i, period - within);
        const bool turned = copy % 2 != 0;
        const int64_t source = turned ? samples_ - within - count : within;
        all_.push_back({step_ * (more_ + i), step_ * source, count, step_, turned});
    }
}

Tensor Mirror::spread(const Tensor &x, int64_t axis, const std::vector<Piece> &pieces) const {
    const Tensor result = zeros_along(x, axis, places());
    for (const Piece &p : pieces) {
        const Tensor source = every(x, axis, p.source, p.count, p.step);
        every(result, axis, p.place, p.count, p.step).copy_(turn(source, axis, p.turned));
    }
    return result;
}

Tensor Mirror::collect(const Tensor &x, int64_t axis, const std::vector<Piece> &pieces) const {
    const Tensor result = zeros_along(x, axis, pixels_);
    for (const Piece &p : pieces) {
        const Tensor source = every(x, axis, p.place, p.count, p.step);
        every(result, axis, p.source, p.count, p.step).add_(turn(source, axis, p.turned));
    }
    return result;
}

}  // namespace upwell::bridge
