// Taps to windows.
#include "window.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace upwell {

namespace {

constexpr Polynomial zero{0, 0, 0, 0};

}  // namespace

double evaluate(const Polynomial &polynomial, double fraction) {
    double value = 0;
    for (int power = 3; power >= 0; power--) {
        value = value * fraction + polynomial[power];
    }
    return value;
}

bool AxisWindow::last_is_between() const {
    return std::all_of(tap_cells.begin(), tap_cells.end(),
                       [](const std::vector<Polynomial> &cells) { return evaluate(cells.back(), 0) == 0; });
}

AxisWindow lower(const Taps &taps) {
    if (taps.kernel < 1 || taps.kernel % 2 == 0) {
        throw std::invalid_argument("window: kernel should be odd and positive but is " + std::to_string(taps.kernel));
    }
    const auto &[between_cells, first, reach, sample] = taps.sampling;
    AxisWindow window{first - taps.radius(), taps.kernel + reach - 1, {}};
    for (int tap = 0; tap < taps.kernel; tap++) {
        // A shift by one tap is a shift by one low-res cell: the phase, and so the footprint, stays the same.
        std::vector<Polynomial> cells(window.size, zero);
        for (int k = 0; k < reach; k++) {
            cells[tap + k] = sample[k];
        }
        window.tap_cells.push_back(cells);
    }
    return window;
}

}  // namespace upwell
