// Which pixels of a line the places of another line stand for: borders, and what is cut out of them.
#pragma once

#include <cstdint>
#include <vector>

namespace upwell {

// A place is the sum of the pixels that it picks.
struct Picks {
    int64_t count;            // the most of a place
    std::vector<int> pixels;  // count x places: those of a place in their order, then -1
};

// At most one each; -1: none.
Picks pick_one(std::vector<int> pixels);
// Those of a line of so many, in their order; places beyond its end pick none.
Picks pick_same(int64_t pixels, int64_t places);
// The places that pick a pixel, for each of so many pixels: ascending.
Picks transposed(const Picks &picks, int64_t pixels);

}  // namespace upwell
