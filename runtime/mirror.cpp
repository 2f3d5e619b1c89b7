#include "mirror.h"

#include <algorithm>

namespace upwell {
namespace {

// The sample that the i-th one of a line without ends shows: the line forwards and backwards in turn.
int64_t shown(int64_t i, int64_t samples, bool repeat_edge) {
    const int64_t period = std::max<int64_t>(samples - (repeat_edge ? 0 : 1), 1);
    const int64_t copy = (i < 0 ? i - period + 1 : i) / period, within = i - copy * period;
    return copy % 2 != 0 ? samples - 1 - within : within;
}

}  // namespace

std::vector<int> Mirror::own_pixels() const {
    std::vector<int> picked(places(), -1);
    for (int64_t p = 0; p < pixels; p++) {
        picked[place(p)] = static_cast<int>(p);
    }
    return picked;
}

Picks Mirror::own() const {
    return pick_one(own_pixels());
}

Picks Mirror::extended() const {
    std::vector<int> picked = own_pixels();
    const auto add = [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
            picked[step * (more + i)] = static_cast<int>(step * shown(i, samples, repeat_edge));
        }
    };
    add(-more, 0);
    add(samples, samples + more);
    return pick_one(std::move(picked));
}

}  // namespace upwell
