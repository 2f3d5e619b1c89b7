// Problems of the PCDC kernels, and checks of what they write against plain loops.
#pragma once

#include "support/pcdc.h"

#include <limits>
#include <random>

#include "support/catch.h"

namespace upwell::test {

constexpr double no_relu = std::numeric_limits<float>::lowest();
constexpr double soft = 3. / 16;  // side of a blur, exact in single precision, as all that enters is

inline Pcdc problem(std::array<int, 6> N_G_E_L_M_K, std::array<int, 3> W_rows_step, const std::vector<int> &tap_columns,
                    const std::vector<int> &tap_rows, double side, double floor) {
    const auto [N, G, E, L, M, K] = N_G_E_L_M_K;
    const auto [W, rows, step] = W_rows_step;
    Pcdc q{N, G, E, L, M, K, W, rows, step, {}, {}, side, floor};
    for (const int row : tap_rows) {
        for (const int column : tap_columns) {
            q.tap_columns.push_back(column);
            q.tap_rows.push_back(row);
        }
    }
    return q;
}

inline Pcdc upsampled(std::array<int, 6> N_G_E_L_M_K, std::array<int, 4> W_H_w_h, double floor) {
    const auto [W, H, w, h] = W_H_w_h;
    Pcdc q = problem(N_G_E_L_M_K, {W, H, 1}, {}, {}, 0, floor);
    q.w = w;
    q.h = h;
    return q;
}

inline const std::vector<int> near{-1, 0, 1}, far{-70, -9, -4, 5, 9}, irregular{-5, -2, 0, 2, 4};

// One pixel; columns and rows that no tile, no block and no vector divides, or all do; 1, 2 and 4 phases; taps beyond
// the image; every number of groups and channels with blocks of their own.
inline const std::vector<Pcdc> convolved{
    problem({1, 1, 2, 4, 4, 9}, {1, 1, 1}, near, near, 0, 0),
    problem({2, 4, 8, 32, 32, 9}, {65, 17, 2}, {-4, 0, 4}, near, soft, 0),
    problem({2, 8, 4, 16, 8, 25}, {5, 3, 4}, far, {-20, -1, 0, 1, 3}, soft, no_relu),
    problem({1, 1, 32, 128, 16, 9}, {63, 2, 1}, {-2, 0, 3}, near, 0, no_relu),
    problem({1, 2, 16, 8, 40, 25}, {130, 3, 1}, irregular, irregular, soft, 0),
    problem({1, 1, 4, 8, 4, 1}, {64, 33, 1}, {0}, {0}, 0, 0),
    problem({2, 8, 2, 4, 128, 9}, {9, 16, 1}, near, {-2, 0, 1}, soft, 0),
    problem({1, 1, 3, 5, 6, 10}, {70, 1, 2}, {-33, 1}, {-17, 0, 18}, soft, 0),
};
inline const std::vector<Pcdc> interpolated{
    upsampled({1, 1, 2, 4, 4, 9}, {1, 1, 1, 1}, 0),
    upsampled({2, 4, 8, 32, 32, 9}, {65, 34, 21, 11}, 0),
    upsampled({2, 8, 4, 16, 8, 25}, {5, 7, 9, 10}, no_relu),
    upsampled({1, 1, 32, 128, 16, 9}, {63, 3, 15, 1}, 0),
    upsampled({1, 2, 16, 8, 40, 25}, {130, 18, 65, 2}, no_relu),
};

inline std::string describe(const Pcdc &q) {
    std::string text = "N,G,E,L,M,K,W,rows,step,taps,w,h =";
    for (const int number : {q.N, q.G, q.E, q.L, q.M, q.K, q.W, q.rows, q.step, q.taps(), q.w, q.h}) {
        text += " " + std::to_string(number);
    }
    return text;
}

// Sixteenths from -1 to 1 and less where many are summed: sums of their products are exact in single precision, so that
// no rounding decides on which side of a ReLU a value falls, and values on the edge itself occur.
class Random {
public:
    Array operator()(const std::vector<int> &sizes, double largest = 1) {
        std::uniform_int_distribution<int> uniform(int(-16 * largest), int(16 * largest));
        Array a(sizes);
        std::generate(a.values.begin(), a.values.end(), [&] { return uniform(bits) / 16.; });
        return a;
    }

private:
    std::mt19937 bits{1};
};

// The lower cell of each pixel, counted from -1, and the way to the next in sixteenths.
inline void place(int low, int high, std::vector<int> &cells, std::vector<double> &ways) {
    for (int p = 0; p < high; p++) {
        const double position = (p + 0.5) * low / high + 0.5;
        cells.push_back(int(position));
        ways.push_back(std::round(16 * (position - int(position))) / 16);
    }
}

inline PcdcInputs random_inputs(const Pcdc &q) {
    Random random;
    PcdcInputs in;
    if (q.upsampled()) {
        in.coarse = random({q.L, q.w + 2, q.h + 2, q.G, q.N});
        place(q.w, q.W, in.cell_x, in.way_x);
        place(q.h, q.H(), in.cell_y, in.way_y);
    } else {
        in.key = random({q.W, q.H(), q.G * q.E, q.N});
        in.key_centre = random({q.G * q.E, q.N}, 0.5);
        in.key_weight = random({q.L, q.E, q.taps(), q.G, q.N}, 0.25);
    }
    in.query = random({q.W, q.H(), q.G * q.E, q.N});
    in.query_centre = random({q.G * q.E, q.N}, 0.5);
    in.query_weight = random({q.L, q.E, q.G, q.N}, 0.25);
    in.bias = random({q.L, q.G, q.N});
    in.compress = random({q.M, q.L, q.G}, 0.25);
    in.compress_bias = random({q.M, q.G});
    in.centre = random({q.M, q.G, q.N});
    in.score_weight = random({q.K, q.M, q.G, q.N}, 0.25);
    in.score_bias = random({q.K, q.N});
    in.d_scores = random({q.W, q.H(), q.K, q.N});
    in.d_hidden_weight = random({q.M, q.K, q.G, q.N}, 0.25);
    in.d_hidden_offset = random({q.M, q.G, q.N});
    in.d_hidden_slope = random({q.M, q.G, q.N}, 0.25);
    return in;
}

// x, y, o, g, n of o, x, y, g, n.
inline Array planar(const Pcdc &q, const Array &image) {
    Array result({q.W, q.H(), image.sizes[0], q.G, q.N});
    reference::for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int o = 0; o < image.sizes[0]; o++) {
            result(x, y, o, g, n) = image(o, x, y, g, n);
        }
    });
    return result;
}

// o, x, row, phase, g, n of o, x, y, g, n.
inline Array by_phases(const Pcdc &q, const Array &image) {
    Array result({image.sizes[0], q.W, q.rows, q.step, q.G, q.N});
    reference::for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int o = 0; o < image.sizes[0]; o++) {
            result(o, x, y / q.step, y % q.step, g, n) = image(o, x, y, g, n);
        }
    });
    return result;
}

// What lies behind the expected lines should be zero.
inline void check_close(const char *what, int bits, const Array &actual, const Array &expected) {
    CAPTURE(what, bits);
    const Array all = padded(expected, actual.sizes[0]);
    CHECK(worst_error(actual.values, all.values) < (bits == 32 ? 1e-5 : 1e-12));
}

inline void check_gradients(const Pcdc &q, int bits, const PcdcGradients &actual, const PcdcGradients &expected) {
    check_close("d_query", bits, actual.query, expected.query);
    check_close("d_query_weight", bits, actual.query_weight, expected.query_weight);
    check_close("d_bias", bits, actual.bias, expected.bias);
    if (q.upsampled()) {
        check_close("d_coarse", bits, actual.coarse, expected.coarse);
    } else {
        check_close("d_key", bits, actual.key, expected.key);
        check_close("d_key_weight", bits, actual.key_weight, expected.key_weight);
    }
    if (!expected.compress.sizes.empty()) {
        check_close("d_compress", bits, actual.compress, expected.compress);
        check_close("d_compress_bias", bits, actual.compress_bias, expected.compress_bias);
    }
}

// The kernels of a type for a target.
template<class T> struct Build {
    Halide::GeneratorParamsMap parameters = {};
    Halide::Target target = Halide::get_host_target();
    static constexpr int bits = 8 * sizeof(T);

    Kernels<T> kernels(const Pcdc &q, const PcdcInputs &in) const { return {q, in, parameters, target}; }
};

template<class... T> void check_hidden(const std::vector<Pcdc> &problems, const Build<T> &...builds) {
    for (const Pcdc &q : problems) {
        CAPTURE(describe(q));
        const PcdcInputs in = random_inputs(q);
        const Array h = reference::hidden(q, in).h, statistics = reference::statistics(q, h),
                    scores = reference::scores(q, in, h), moments = reference::moments(q, in, h);
        const auto check = [&](auto kernels, int bits) {
            check_close("statistics", bits, kernels.statistics(), statistics);
            check_close("scores", bits, kernels.scores(), scores);
            check_close("moments", bits, kernels.moments(), moments);
        };
        (check(builds.kernels(q, in), builds.bits), ...);
    }
}

// Hidden channels that are kept are the formula, and passes that read them make the same bits as those that find them.
template<class... T> void check_kept(const std::vector<Pcdc> &problems, const Build<T> &...builds) {
    for (const Pcdc &q : problems) {
        CAPTURE(describe(q));
        const PcdcInputs in = random_inputs(q);
        const Array expected = by_phases(q, reference::hidden(q, in).h);
        const auto check = [&](auto kernels, int bits) {
            CAPTURE(bits);
            const Array kept = kernels.hidden();
            check_close("hidden", bits, kept, expected);
            CHECK(kernels.statistics_of(kept).values == kernels.statistics().values);
            CHECK(kernels.scores_of(kept).values == kernels.scores().values);
            CHECK(kernels.moments_of(kept).values == kernels.moments().values);
            CHECK(kernels.scores_record_of(kept).array().values == kernels.scores_record().array().values);
        };
        (check(builds.kernels(q, in), builds.bits), ...);
    }
}

template<class... T> void check_difference(const std::vector<Pcdc> &problems, const Build<T> &...builds) {
    for (const Pcdc &q : problems) {
        CAPTURE(describe(q));
        const PcdcInputs in = random_inputs(q);
        const Array v = planar(q, reference::difference(q, in)), d_v = Random()({q.L, q.W, q.H(), q.G, q.N});
        const PcdcGradients expected = reference::difference_backward(q, in, d_v);
        const auto check = [&](auto kernels, int bits) {
            check_close("difference", bits, kernels.difference(), v);
            check_gradients(q, bits, kernels.gradients(kernels.difference_record(planar(q, d_v)), 0), expected);
        };
        (check(builds.kernels(q, in), builds.bits), ...);
    }
}

template<class... T> void check_scores_backward(const std::vector<Pcdc> &problems, const Build<T> &...builds) {
    for (const Pcdc &q : problems) {
        CAPTURE(describe(q));
        const PcdcInputs in = random_inputs(q);
        const PcdcGradients expected = reference::scores_backward(q, in, reference::hidden(q, in));
        const auto check = [&](auto kernels, int bits) {
            check_gradients(q, bits, kernels.gradients(kernels.scores_record(), q.L + 1), expected);
        };
        (check(builds.kernels(q, in), builds.bits), ...);
    }
}

}  // namespace upwell::test
