// Paired central difference convolution, the scores made of it and their gradients, by definition: plain loops in
// double.
#pragma once

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "grid/pcdc_record.h"

namespace upwell::reference {

// sizes: innermost first.
struct Array {
    Array() = default;
    explicit Array(std::vector<int> sizes)
        : sizes(sizes), values(std::accumulate(sizes.begin(), sizes.end(), size_t(1), std::multiplies<size_t>())) {}

    template<class... Index> double &operator()(Index... index) { return values[offset(index...)]; }
    template<class... Index> double operator()(Index... index) const { return values[offset(index...)]; }

    std::vector<int> sizes;
    std::vector<double> values;

private:
    template<class... Index> size_t offset(Index... index) const {
        size_t at = 0, stride = 1, d = 0;
        ((at += stride * index, stride *= sizes[d++]), ...);
        return at;
    }
};

// G groups of E channels of key and query, L before the compressor, M after it; K scores. A tap is so many pixels right
// and so many times `step` pixels down. side: of the blur. With w, h, the key part is a map of w + 2 x h + 2 cells,
// upsampled.
struct Pcdc {
    int N, G, E, L, M, K, W, rows, step;
    std::vector<int> tap_columns, tap_rows;
    double side, floor;
    int w = 0, h = 0;
    pcdc::Tile tile = pcdc::cpu_tile;

    bool upsampled() const { return w > 0; }
    int H() const { return rows * step; }
    int taps() const { return int(tap_columns.size()); }
    int tiles_x() const { return (W + tile.columns - 1) / tile.columns; }
    int tiles_y() const { return (rows + tile.rows - 1) / tile.rows; }
    int tile_x(int x) const { return x / tile.columns; }
    int tile_y(int y) const { return y / step / tile.rows; }
    int inside_x(int x) const { return std::clamp(x, 0, W - 1); }
    int inside_y(int y) const { return std::clamp(y, 0, H() - 1); }
};

struct PcdcInputs {
    Array key, query;                 // x, y, channel, n
    Array key_centre, query_centre;   // channel, n
    Array coarse;                     // o, cell x, cell y, g, n
    std::vector<int> cell_x, cell_y;  // of a pixel: its lower cells, and the ways from them to the next
    std::vector<double> way_x, way_y;
    Array key_weight, query_weight, bias;                    // o, i, tap, g, n; o, i, g, n; o, g, n
    Array compress, compress_bias;                           // m, o, g; m, g
    Array centre;                                            // m, g, n
    Array score_weight, score_bias;                          // k, m, g, n; k, n
    Array d_scores;                                          // x, y, k, n
    Array d_hidden_weight, d_hidden_offset, d_hidden_slope;  // m, k, g, n; m, g, n; m, g, n
};

template<class F> void for_each_pixel(const Pcdc &q, F f) {
    for (int n = 0; n < q.N; n++) {
        for (int g = 0; g < q.G; g++) {
            for (int y = 0; y < q.H(); y++) {
                for (int x = 0; x < q.W; x++) {
                    f(x, y, g, n);
                }
            }
        }
    }
}

// f(x, y, weight) for the pixels that a blurred one is made of.
template<class F> void for_each_blurred(const Pcdc &q, int x, int y, F f) {
    const double weight[] = {q.side, 1 - 2 * q.side, q.side};
    for (int v = 0; v < 3; v++) {
        for (int u = 0; u < 3; u++) {
            f(q.inside_x(x + u - 1), q.inside_y(y + v - 1), weight[u] * weight[v]);
        }
    }
}

// f(cell x, cell y, weight) for the cells that a pixel lies between.
template<class F> void for_each_cell(const PcdcInputs &in, int x, int y, F f) {
    for (int v = 0; v < 2; v++) {
        for (int u = 0; u < 2; u++) {
            f(in.cell_x[x] + u, in.cell_y[y] + v,
              (u ? in.way_x[x] : 1 - in.way_x[x]) * (v ? in.way_y[y] : 1 - in.way_y[y]));
        }
    }
}

inline Array blurred(const Pcdc &q, const Array &map) {
    Array result(map.sizes);
    for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int i = g * q.E; i < (g + 1) * q.E; i++) {
            for_each_blurred(q, x, y,
                             [&](int px, int py, double weight) { result(x, y, i, n) += weight * map(px, py, i, n); });
        }
    });
    return result;
}

// v: o, x, y, g, n.
inline Array difference(const Pcdc &q, const PcdcInputs &in) {
    Array v({q.L, q.W, q.H(), q.G, q.N});
    const Array key = q.upsampled() ? Array() : blurred(q, in.key);
    for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int o = 0; o < q.L; o++) {
            double sum = in.bias(o, g, n);
            if (q.upsampled()) {
                for_each_cell(in, x, y, [&](int column, int row, double weight) {
                    sum += weight * in.coarse(o, column, row, g, n);
                });
            }
            for (int i = 0; i < q.E; i++) {
                const int channel = i + q.E * g;
                sum += in.query_weight(o, i, g, n) * (in.query(x, y, channel, n) - in.query_centre(channel, n));
                for (int tap = 0; tap < q.taps(); tap++) {
                    const int px = q.inside_x(x + q.tap_columns[tap]), py = q.inside_y(y + q.step * q.tap_rows[tap]);
                    sum += in.key_weight(o, i, tap, g, n) * (key(px, py, channel, n) - in.key_centre(channel, n));
                }
            }
            v(o, x, y, g, n) = sum;
        }
    });
    return v;
}

struct Hidden {
    Array u, s, h;  // o or m, x, y, g, n
};

inline Hidden hidden(const Pcdc &q, const PcdcInputs &in) {
    Hidden all{difference(q, in), Array({q.M, q.W, q.H(), q.G, q.N}), Array({q.M, q.W, q.H(), q.G, q.N})};
    for (double &value : all.u.values) {
        value = std::max(value, q.floor);
    }
    for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int m = 0; m < q.M; m++) {
            double s = in.compress_bias(m, g);
            for (int o = 0; o < q.L; o++) {
                s += in.compress(m, o, g) * all.u(o, x, y, g, n);
            }
            all.s(m, x, y, g, n) = s;
            all.h(m, x, y, g, n) = std::max(s, 0.0);
        }
    });
    return all;
}

// m, 2, g, tile x, tile y, phase, n: mean, and sum of squared differences from it.
inline Array statistics(const Pcdc &q, const Array &h) {
    Array result({q.M, 2, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N}), count = result;
    const auto add = [&](int part, const auto &value) {
        for_each_pixel(q, [&](int x, int y, int g, int n) {
            for (int m = 0; m < q.M; m++) {
                result(m, part, g, q.tile_x(x), q.tile_y(y), y % q.step, n) += value(m, x, y, g, n);
                count(m, part, g, q.tile_x(x), q.tile_y(y), y % q.step, n) += 1;
            }
        });
    };
    add(0, [&](int m, int x, int y, int g, int n) { return h(m, x, y, g, n); });
    for (size_t k = 0; k < count.values.size(); k++) {
        result.values[k] /= std::max(count.values[k], 1.0);
    }
    add(1, [&](int m, int x, int y, int g, int n) {
        const double away = h(m, x, y, g, n) - result(m, 0, g, q.tile_x(x), q.tile_y(y), y % q.step, n);
        return away * away;
    });
    return result;
}

// x, y, k, n.
inline Array scores(const Pcdc &q, const PcdcInputs &in, const Array &h) {
    Array result(in.d_scores.sizes);
    for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int k = 0; k < q.K; k++) {
            double sum = g == 0 ? in.score_bias(k, n) : 0;
            for (int m = 0; m < q.M; m++) {
                sum += in.score_weight(k, m, g, n) * (h(m, x, y, g, n) - in.centre(m, g, n));
            }
            result(x, y, k, n) += sum;
        }
    });
    return result;
}

// m, k, g, tile x, tile y, phase, n.
inline Array moments(const Pcdc &q, const PcdcInputs &in, const Array &h) {
    Array result({q.M, q.K, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N});
    for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int k = 0; k < q.K; k++) {
            for (int m = 0; m < q.M; m++) {
                result(m, k, g, q.tile_x(x), q.tile_y(y), y % q.step, n) +=
                    in.d_scores(x, y, k, n) * (h(m, x, y, g, n) - in.centre(m, g, n));
            }
        }
    });
    return result;
}

struct PcdcGradients {
    Array key, query, coarse, key_weight, query_weight, bias;  // as the inputs
    Array compress, compress_bias;                             // m, o, g, n; m, g, n
};

// From d_v: o, x, y, g, n.
inline PcdcGradients difference_backward(const Pcdc &q, const PcdcInputs &in, const Array &d_v) {
    PcdcGradients d{Array(in.key.sizes),
                    Array(in.query.sizes),
                    Array(in.coarse.sizes),
                    Array(in.key_weight.sizes),
                    Array(in.query_weight.sizes),
                    Array(in.bias.sizes),
                    {},
                    {}};
    const Array key = q.upsampled() ? Array() : blurred(q, in.key);
    Array d_blurred(in.key.sizes);
    for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int o = 0; o < q.L; o++) {
            const double dv = d_v(o, x, y, g, n);
            d.bias(o, g, n) += dv;
            if (q.upsampled()) {
                for_each_cell(in, x, y, [&](int column, int row, double weight) {
                    d.coarse(o, column, row, g, n) += weight * dv;
                });
            }
            for (int i = 0; i < q.E; i++) {
                const int channel = i + q.E * g;
                d.query(x, y, channel, n) += in.query_weight(o, i, g, n) * dv;
                d.query_weight(o, i, g, n) += dv * (in.query(x, y, channel, n) - in.query_centre(channel, n));
                for (int tap = 0; tap < q.taps(); tap++) {
                    const int px = q.inside_x(x + q.tap_columns[tap]), py = q.inside_y(y + q.step * q.tap_rows[tap]);
                    d.key_weight(o, i, tap, g, n) += dv * (key(px, py, channel, n) - in.key_centre(channel, n));
                    d_blurred(px, py, channel, n) += in.key_weight(o, i, tap, g, n) * dv;
                }
            }
        }
    });
    for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int i = g * q.E; i < (g + 1) * q.E && !q.upsampled(); i++) {
            for_each_blurred(
                q, x, y, [&](int px, int py, double weight) { d.key(px, py, i, n) += weight * d_blurred(x, y, i, n); });
        }
    });
    return d;
}

// With d_h = d_hidden_weight d_scores + d_hidden_offset + d_hidden_slope (h - centre).
inline PcdcGradients scores_backward(const Pcdc &q, const PcdcInputs &in, const Hidden &all) {
    Array d_v(all.u.sizes), d_compress({q.M, q.L, q.G, q.N}), d_compress_bias({q.M, q.G, q.N});
    for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int m = 0; m < q.M; m++) {
            double d_s =
                in.d_hidden_offset(m, g, n) + in.d_hidden_slope(m, g, n) * (all.h(m, x, y, g, n) - in.centre(m, g, n));
            for (int k = 0; k < q.K; k++) {
                d_s += in.d_hidden_weight(m, k, g, n) * in.d_scores(x, y, k, n);
            }
            d_s = all.s(m, x, y, g, n) > 0 ? d_s : 0;
            d_compress_bias(m, g, n) += d_s;
            for (int o = 0; o < q.L; o++) {
                const double u = all.u(o, x, y, g, n);
                d_compress(m, o, g, n) += d_s * u;
                d_v(o, x, y, g, n) += u > q.floor ? in.compress(m, o, g) * d_s : 0;
            }
        }
    });
    PcdcGradients d = difference_backward(q, in, d_v);
    d.compress = d_compress;
    d.compress_bias = d_compress_bias;
    return d;
}

}  // namespace upwell::reference
