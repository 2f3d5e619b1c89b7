#include "picks.h"

#include <algorithm>

namespace upwell {

Picks pick_one(std::vector<int> pixels) {
    return {1, std::move(pixels)};
}

Picks pick_same(int64_t pixels, int64_t places) {
    std::vector<int> same(places);
    for (int64_t p = 0; p < places; p++) {
        same[p] = p < pixels ? static_cast<int>(p) : -1;
    }
    return pick_one(std::move(same));
}

Picks transposed(const Picks &picks, int64_t pixels) {
    const int64_t places = static_cast<int64_t>(picks.pixels.size()) / picks.count;
    std::vector<std::vector<int>> of(pixels);
    size_t most = 1;
    for (int64_t p = 0; p < places; p++) {
        for (int64_t i = 0; i < picks.count; i++) {
            if (const int pixel = picks.pixels[i * places + p]; pixel >= 0) {
                of[pixel].push_back(static_cast<int>(p));
                most = std::max(most, of[pixel].size());
            }
        }
    }
    Picks result{static_cast<int64_t>(most), std::vector<int>(most * pixels, -1)};
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        for (size_t i = 0; i < of[pixel].size(); i++) {
            result.pixels[i * pixels + pixel] = of[pixel][i];
        }
    }
    return result;
}

}  // namespace upwell
