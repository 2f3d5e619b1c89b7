#include "operators/pcdc_tiles.h"

#include <numeric>

#include "grid/reads.h"
#include "views.h"

namespace upwell::pcdc {
namespace {

int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

// Rows of one phase are those that taps lead to, unless that cuts the image into many tiles that are mostly empty.
int64_t choose_step(int64_t H, int64_t tile_rows, const std::vector<Offset> &taps) {
    int64_t step = 0;
    for (const Offset &tap : taps) {
        step = std::gcd(step, tap.y);
    }
    if (step <= 1 || H % step != 0) {
        return 1;
    }
    return 2 * step * divide_up(H / step, tile_rows) > 3 * divide_up(H, tile_rows) ? 1 : step;
}

}  // namespace

Tiling::Tiling(Host &host, int64_t N, int64_t H, int64_t W, std::vector<Offset> taps)
    : tile(host.backend() == Backend::Cpu ? cpu_tile : gpu_tile), N(N), H(H), W(W) {
    for (Offset &tap : taps) {  // with a repeated border, a tap further away than the image is long reads its border
        tap = {std::clamp(tap.y, 1 - H, H - 1), std::clamp(tap.x, 1 - W, W - 1)};
    }
    step = choose_step(H, tile.rows, taps);
    std::vector<int> columns, rows;
    for (const Offset &tap : taps) {
        columns.push_back(static_cast<int>(tap.x));
        rows.push_back(static_cast<int>(tap.y / step));
        reach_x = std::max(reach_x, std::abs(tap.x));
        reach_y = std::max(reach_y, std::abs(tap.y / step));
    }
    tap_columns = host.table(columns);
    tap_rows = host.table(rows);
    std::vector<int> row(H), phase(H);
    for (int64_t y = 0; y < H; y++) {
        row[y] = static_cast<int>(y / step);
        phase[y] = static_cast<int>(y % step);
    }
    row_of = host.table(row);
    phase_of = host.table(phase);
}

int64_t Tiling::tiles_x() const {
    return divide_up(W, tile.columns);
}

int64_t Tiling::tiles_y() const {
    return divide_up(rows(), tile.rows);
}

Tensor Tiling::pixels(Host &host) const {
    std::vector<double> count;
    for (int64_t phase = 0; phase < step; phase++) {
        for (int64_t y = 0; y < tiles_y(); y++) {
            for (int64_t x = 0; x < tiles_x(); x++) {
                count.push_back(static_cast<double>(std::min<int64_t>(tile.rows, rows() - y * tile.rows) *
                                                    std::min<int64_t>(tile.columns, W - x * tile.columns)));
            }
        }
    }
    return host.table(count, {step * tiles_y(), tiles_x()});
}

Tensor Tiling::phased(const Tensor &map) const {
    Tensor result{map.data, map.dtype, map.sizes, strides_of(map)};
    for (std::vector<int64_t> *each : {&result.sizes, &result.strides}) {
        each->resize(each->size() - 2);
    }
    result.sizes.insert(result.sizes.end(), {step, rows(), W});
    result.strides.insert(result.strides.end(), {W, step * W, 1});
    return result;
}

std::vector<int64_t> Tiling::of_tiles(std::initializer_list<int64_t> rest) const {
    std::vector<int64_t> sizes{N, step, tiles_y(), tiles_x()};
    sizes.insert(sizes.end(), rest);
    return sizes;
}

void sum_tiles(Host &host, const Tensor &values, const Tensor &sums) {
    const Host::Scope scope(host);
    const std::vector<int64_t> strides = strides_of(values), &sizes = values.sizes;
    // Rows of tiles of all phases follow each other.
    const Tensor rows{values.data,
                      values.dtype,
                      {sizes[0], sizes[1] * sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]},
                      {strides[0], strides[2], strides[3], strides[4], strides[5], strides[6]}};
    const Tensor of_rows = host.scratch({sizes[0], sizes[1] * sizes[2], sizes[4], sizes[5], sizes[6]});
    host.contract({of_rows, "nyabc"}, {rows, "nyxabc"});
    host.contract({sums, "nabc"}, {of_rows, "nyabc"});
}

Cells::Cells(Host &host, const Tiling &tiling, int64_t h, int64_t w) {
    const auto along = [&](int64_t low, int64_t high, int64_t tile, Tensor &lower, Tensor &fraction, Tensor &first) {
        const Reads reads = read_bilinear_bordered(low, high);
        std::vector<int> starts;
        int64_t most = 0;
        for (int64_t p = 0; p < high; p++) {
            if (p % tile == 0) {
                starts.push_back(reads.lower[p]);
            }
            most = std::max<int64_t>(most, reads.lower[p] + 2 - starts.back());
        }
        lower = host.table(reads.lower);
        fraction = host.table(reads.fraction);
        first = host.table(starts);
        return most;
    };
    frame_columns = along(w, tiling.W, tiling.tile.columns, columns, column_fraction, first_column);
    frame_rows = along(h, tiling.H, tiling.tile.rows, rows, row_fraction, first_row);
}

}  // namespace upwell::pcdc
