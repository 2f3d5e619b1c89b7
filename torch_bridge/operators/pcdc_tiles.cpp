#include "pcdc_tiles.h"

#include <algorithm>
#include <numeric>

#include <ATen/ops/empty.h>

#include "../pad.h"
#include "../queue.h"
#include "../table.h"
#include "grid/reads.h"

namespace upwell::bridge::pcdc {
namespace {

int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

int64_t round_up(int64_t a, int64_t b) {
    return divide_up(a, b) * b;
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

Tiling::Tiling(const Tensor &query, std::vector<Offset> taps)
    : tile(runs_on_gpu(query) ? upwell::pcdc::gpu_tile : upwell::pcdc::cpu_tile), N(query.size(0)), H(query.size(2)),
      W(query.size(3)) {
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
    tap_columns = table(columns, query);
    tap_rows = table(rows, query);
    std::vector<int> row(H), phase(H);
    for (int64_t y = 0; y < H; y++) {
        row[y] = static_cast<int>(y / step);
        phase[y] = static_cast<int>(y % step);
    }
    row_of = table(row, query);
    phase_of = table(phase, query);
}

int64_t Tiling::tiles_x() const {
    return divide_up(W, tile.columns);
}

int64_t Tiling::tiles_y() const {
    return divide_up(rows(), tile.rows);
}

int64_t Tiling::frame_columns() const {
    return tile.columns + 2 * reach_x;
}

int64_t Tiling::frame_rows() const {
    return tile.rows + 2 * reach_y;
}

Tensor Tiling::pixels(const Tensor &like) const {
    std::vector<double> count;
    for (int64_t phase = 0; phase < step; phase++) {
        for (int64_t y = 0; y < tiles_y(); y++) {
            for (int64_t x = 0; x < tiles_x(); x++) {
                count.push_back(static_cast<double>(std::min<int64_t>(tile.rows, rows() - y * tile.rows) *
                                                    std::min<int64_t>(tile.columns, W - x * tile.columns)));
            }
        }
    }
    return table(count, like);
}

Tensor Tiling::phased(const Tensor &map) const {
    return map.view({N, map.size(1), rows(), step, W}).transpose(2, 3);
}

Cells::Cells(const Tiling &tiling, int64_t h, int64_t w, const Tensor &like) {
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
        lower = table(reads.lower, like);
        fraction = table(reads.fraction, like);
        first = table(starts, like);
        return most;
    };
    frame_columns = along(w, tiling.W, tiling.tile.columns, columns, column_fraction, first_column);
    frame_rows = along(h, tiling.H, tiling.tile.rows, rows, row_fraction, first_row);
}

Widths::Widths(int64_t groups, int64_t before, int64_t after)
    : groups(groups), before(before), after(after), padded(round_up(std::max(before, after), 32)) {}

Tensor pad_last(const Tensor &x, int64_t size) {
    return pad_with_zeros(x, {size - x.size(-1)});
}

Tensor channels_last(const Tensor &weights, int64_t groups, int64_t padded) {
    return pad_last(weights.unflatten(1, {groups, -1}).movedim(2, -1), padded);
}

Record::Record(const Tiling &tiling, const Widths &widths, int64_t columns, int64_t channels, int64_t frame,
               const at::TensorOptions &options)
    : tile(tiling.tile), columns(columns), channels(channels), padded(widths.padded) {
    const int64_t size = padded * columns + channels * tile.columns * tile.rows + frame;
    values = at::empty({tiling.N, tiling.step, tiling.tiles_y(), tiling.tiles_x(), widths.groups, size}, options);
}

Tensor Record::weights() const {
    return values.narrow(-1, 0, padded * columns).sum({1, 2, 3}).unflatten(-1, {columns, padded});
}

Tensor Record::query() const {
    return values.narrow(-1, padded * columns, channels * tile.columns * tile.rows)
        .unflatten(-1, {channels, tile.rows, tile.columns});
}

Tensor Record::frame(at::IntArrayRef sizes) const {
    const int64_t start = padded * columns + channels * tile.columns * tile.rows;
    return values.narrow(-1, start, values.size(-1) - start).unflatten(-1, sizes);
}

}  // namespace upwell::bridge::pcdc
