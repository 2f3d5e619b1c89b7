// Borders that mirror the map, exact for operators that look at every step-th pixel of an axis (a sample): the axis is
// extended by pieces of itself, so that the gradient is a sum in a fixed order on every device.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace upwell::bridge {

// An axis of some pixels whose first, step-th, 2 step-th ... are its samples, with as many more samples at both ends as
// are asked for. The samples of the extended axis are every step-th of its places, from the first. Pixels beyond the
// last `step` whole ones stand one place further: before them is a sample of the border.
class Mirror {
public:
    // repeat_edge: behind the last sample comes itself, else the one before it; more than once around where `more`
    // exceeds the samples.
    Mirror(int64_t pixels, int64_t samples, int64_t step, int64_t more, bool repeat_edge);

    int64_t places() const { return step_ * (samples_ + 2 * more_); }
    int64_t place(int64_t pixel) const { return step_ * more_ + pixel + (pixel < step_ * samples_ ? 0 : 1); }

    // `axis` of x from pixels to places: with the samples of the border, or only where they stand. The rest is 0.
    at::Tensor extend(const at::Tensor &x, int64_t axis) const { return spread(x, axis, all_); }
    at::Tensor embed(const at::Tensor &x, int64_t axis) const { return spread(x, axis, own_); }

    // Their transposes, from places to pixels.
    at::Tensor fold(const at::Tensor &x, int64_t axis) const { return collect(x, axis, all_); }
    at::Tensor crop(const at::Tensor &x, int64_t axis) const { return collect(x, axis, own_); }

private:
    // Places place, place + step ... are pixels source, source + step ..., turned: the last of these first.
    struct Piece {
        int64_t place, source, count, step;
        bool turned;
    };

    void add_border(int64_t first, int64_t last, bool repeat_edge);
    at::Tensor spread(const at::Tensor &x, int64_t axis, const std::vector<Piece> &pieces) const;
    at::Tensor collect(const at::Tensor &x, int64_t axis, const std::vector<Piece> &pieces) const;

    int64_t pixels_, samples_, step_, more_;
    std::vector<Piece> own_, all_;
};

}  // namespace upwell::bridge
