// Borders that mirror a line, exact for operators that look at every step-th pixel of it (a sample).
#pragma once

#include "picks.h"

namespace upwell {

// A line of some pixels whose first, step-th, 2 step-th ... are its samples, with as many more samples at both ends as
// are asked for. The samples of the extended line are every step-th of its places, from the first. Pixels beyond the
// last `step` whole ones stand one place further: before them is a sample of the border.
struct Mirror {
    int64_t pixels, samples, step, more;
    bool repeat_edge;  // behind the last sample comes itself, else the one before it

    int64_t places() const { return step * (samples + 2 * more); }
    int64_t place(int64_t pixel) const { return step * more + pixel + (pixel < step * samples ? 0 : 1); }

    // What places pick: the pixels where they stand, and the samples of the border, which go on around the line where
    // `more` exceeds them.
    Picks own() const;
    Picks extended() const;

private:
    std::vector<int> own_pixels() const;
};

}  // namespace upwell
