#include "operators/listed_taps.h"

#include <algorithm>
#include <cstdlib>

#include "named.h"
#include "views.h"

namespace upwell {

std::vector<Offset> square_of_offsets(int64_t radius) {
    std::vector<Offset> offsets;
    for (int64_t row = -radius; row <= radius; row++) {
        for (int64_t column = -radius; column <= radius; column++) {
            offsets.push_back({row, column});
        }
    }
    return offsets;
}

ListedTaps::ListedTaps(Host &host, Beyond beyond, const std::vector<Offset> &offsets, int64_t h, int64_t w, int64_t W)
    : host_(host), h_(h), w_(w) {
    std::vector<int> across, down;
    for (const Offset &offset : offsets) {
        across.push_back(static_cast<int>(offset.columns * (W / w)));
        down.push_back(static_cast<int>(offset.rows));
        reach_x_ = std::max<int64_t>(reach_x_, std::abs(across.back()));
        reach_y_ = std::max<int64_t>(reach_y_, std::abs(down.back()));
    }
    columns_ = bordered_cells(beyond, w, W / w, reach_x_);
    rows_ = bordered_cells(beyond, h, 1, reach_y_);
    taps_ = {{"across", host.table(across)}, {"down", host.table(down)}, {"reach_x", reach_x_}, {"reach_y", reach_y_}};
    lines_ = {{"columns", host.table(columns_)}, {"rows", host.table(rows_)}};
}

Tensor ListedTaps::pixels(const Tensor &map) const {
    return split(map, 2, h_);
}

void ListedTaps::sum(const Tensor &value, const Tensor &weight, const Tensor &output) const {
    host_.run("listed_taps", joined(joined(taps_, lines_),
                                    {{"value", value}, {"weight", pixels(weight)}, {"output", pixels(output)}}));
}

void ListedTaps::d_weight(const Tensor &value, const Tensor &d_output, const Tensor &d_weight) const {
    host_.run("listed_taps_d_weight",
              joined(joined(taps_, lines_),
                     {{"value", value}, {"d_output", pixels(d_output)}, {"d_weight", pixels(d_weight)}}));
}

void ListedTaps::d_value(const Tensor &weight, const Tensor &d_output, const Tensor &d_value) const {
    const Host::Scope scope(host_);
    const int64_t rows = static_cast<int64_t>(rows_.size()), columns = static_cast<int64_t>(columns_.size());
    const Tensor extended = host_.scratch({d_value.sizes[0], d_value.sizes[1], rows, columns});
    host_.run("listed_taps_extended",
              joined(taps_, {{"weight", pixels(weight)}, {"d_output", pixels(d_output)}, {"extended", extended}}));
    const Positions of_columns = positions_of(columns_, w_), of_rows = positions_of(rows_, h_);
    host_.run("listed_taps_fold", {{"extended", extended},
                                   {"columns", host_.table(of_columns.of_cells, {of_columns.count, w_})},
                                   {"rows", host_.table(of_rows.of_cells, {of_rows.count, h_})},
                                   {"d_value", d_value}});
}

void scaled_softmax(Host &host, const Tensor &scores, const Tensor &factors, const Tensor &weights) {
    host.run("scaled_softmax", {{"scores", scores}, {"factors", factors}, {"weights", weights}});
}

void scaled_softmax_backward(Host &host, const Tensor &scores, const Tensor &factors, const Tensor &d_weights,
                             const Tensor &d_scores, const Tensor &d_factors_of_pixels) {
    host.run("scaled_softmax_backward", {{"scores", scores},
                                         {"factors", factors},
                                         {"d_weights", d_weights},
                                         {"gradients.0", d_scores},
                                         {"gradients.1", d_factors_of_pixels}});
}

}  // namespace upwell
