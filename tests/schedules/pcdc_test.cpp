// The PCDC kernels, compiled in memory, against plain loops.
#include "support/pcdc.h"

#include <limits>
#include <random>

#include "support/catch.h"

using namespace upwell;
using namespace upwell::test;
using Halide::Target;

namespace {

constexpr double no_relu = std::numeric_limits<float>::lowest();
constexpr double soft = 3. / 16;  // side of a blur, exact in single precision, as all that enters is

Pcdc problem(std::array<int, 6> N_G_E_L_M_K, std::array<int, 3> W_rows_step, const std::vector<int> &tap_columns,
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

Pcdc upsampled(std::array<int, 6> N_G_E_L_M_K, std::array<int, 4> W_H_w_h, double floor) {
    const auto [W, H, w, h] = W_H_w_h;
    Pcdc q = problem(N_G_E_L_M_K, {W, H, 1}, {}, {}, 0, floor);
    q.w = w;
    q.h = h;
    return q;
}

const std::vector<int> near{-1, 0, 1}, far{-70, -9, -4, 5, 9}, irregular{-5, -2, 0, 2, 4};

// One pixel; columns and rows that no tile, no block and no vector divides, or all do; 1, 2 and 4 phases; taps beyond
// the image; every number of groups and channels with blocks of their own.
const std::vector<Pcdc> convolved{
    problem({1, 1, 2, 4, 4, 9}, {1, 1, 1}, near, near, 0, 0),
    problem({2, 4, 8, 32, 32, 9}, {65, 17, 2}, {-4, 0, 4}, near, soft, 0),
    problem({2, 8, 4, 16, 8, 25}, {5, 3, 4}, far, {-20, -1, 0, 1, 3}, soft, no_relu),
    problem({1, 1, 32, 128, 16, 9}, {63, 2, 1}, {-2, 0, 3}, near, 0, no_relu),
    problem({1, 2, 16, 8, 40, 25}, {130, 3, 1}, irregular, irregular, soft, 0),
    problem({1, 1, 4, 8, 4, 1}, {64, 33, 1}, {0}, {0}, 0, 0),
    problem({2, 8, 2, 4, 128, 9}, {9, 16, 1}, near, {-2, 0, 1}, soft, 0),
    problem({1, 1, 3, 5, 6, 10}, {70, 1, 2}, {-33, 1}, {-17, 0, 18}, soft, 0),
};
const std::vector<Pcdc> interpolated{
    upsampled({1, 1, 2, 4, 4, 9}, {1, 1, 1, 1}, 0),
    upsampled({2, 4, 8, 32, 32, 9}, {65, 34, 21, 11}, 0),
    upsampled({2, 8, 4, 16, 8, 25}, {5, 7, 9, 10}, no_relu),
    upsampled({1, 1, 32, 128, 16, 9}, {63, 3, 15, 1}, 0),
    upsampled({1, 2, 16, 8, 40, 25}, {130, 18, 65, 2}, no_relu),
};

std::string describe(const Pcdc &q) {
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
void place(int low, int high, std::vector<int> &cells, std::vector<double> &ways) {
    for (int p = 0; p < high; p++) {
        const double position = (p + 0.5) * low / high + 0.5;
        cells.push_back(int(position));
        ways.push_back(std::round(16 * (position - int(position))) / 16);
    }
}

PcdcInputs random_inputs(const Pcdc &q) {
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
Array planar(const Pcdc &q, const Array &image) {
    Array result({q.W, q.H(), image.sizes[0], q.G, q.N});
    reference::for_each_pixel(q, [&](int x, int y, int g, int n) {
        for (int o = 0; o < image.sizes[0]; o++) {
            result(x, y, o, g, n) = image(o, x, y, g, n);
        }
    });
    return result;
}

// What lies behind the expected lines should be zero.
void check_close(const char *what, int bits, const Array &actual, const Array &expected) {
    CAPTURE(what, bits);
    const Array all = padded(expected, actual.sizes[0]);
    CHECK(worst_error(actual.values, all.values) < (bits == 32 ? 1e-5 : 1e-12));
}

void check_gradients(const Pcdc &q, int bits, const PcdcGradients &actual, const PcdcGradients &expected) {
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

double dot(const Array &a, const Array &b) {
    return std::inner_product(a.values.begin(), a.values.end(), b.values.begin(), 0.0);
}

// f(value, index...) for every value.
template<class F, class... Index> void for_each_place(const Array &a, F f, Index... index) {
    constexpr size_t dimensions = 8;
    if constexpr (sizeof...(Index) == dimensions) {
        f(a(index...), index...);
    } else {
        for (int k = 0; k < a.sizes[dimensions - 1 - sizeof...(Index)]; k++) {
            for_each_place(a, f, k, index...);
        }
    }
}

// The kernels of a type for a target.
template<class T> struct Build {
    Halide::GeneratorParamsMap parameters = {};
    Target target = Halide::get_host_target();
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

template<class... T> void check_difference(const std::vector<Pcdc> &problems, const Build<T> &...builds) {
    for (const Pcdc &q : problems) {
        CAPTURE(describe(q));
        const PcdcInputs in = random_inputs(q);
        const Array v = planar(q, reference::difference(q, in)), d_v = Random()({q.L, q.W, q.H(), q.G, q.N});
        const PcdcGradients expected = reference::difference_adjoint(q, in, d_v);
        const auto check = [&](auto kernels, int bits) {
            check_close("difference", bits, kernels.difference(), v);
            check_gradients(q, bits, kernels.gradients(kernels.difference_record(planar(q, d_v)), 0), expected);
        };
        (check(builds.kernels(q, in), builds.bits), ...);
    }
}

template<class... T> void check_scores_adjoint(const std::vector<Pcdc> &problems, const Build<T> &...builds) {
    for (const Pcdc &q : problems) {
        CAPTURE(describe(q));
        const PcdcInputs in = random_inputs(q);
        const PcdcGradients expected = reference::scores_adjoint(q, in, reference::hidden(q, in));
        const auto check = [&](auto kernels, int bits) {
            check_gradients(q, bits, kernels.gradients(kernels.scores_record(), q.L + 1), expected);
        };
        (check(builds.kernels(q, in), builds.bits), ...);
    }
}

}  // namespace

TEST_CASE("the difference and its adjoint are the formula", "[pcdc]") {
    check_difference(convolved, Build<float>(), Build<double>());
}

TEST_CASE("statistics, scores and moments are the formula", "[pcdc]") {
    check_hidden(convolved, Build<float>(), Build<double>());
    check_hidden(interpolated, Build<float>(), Build<double>());
}

TEST_CASE("the adjoint of the scores is their gradient with statistics held", "[pcdc]") {
    check_scores_adjoint(convolved, Build<float>(), Build<double>());
    check_scores_adjoint(interpolated, Build<float>(), Build<double>());
}

// <stage(map), frames> = <map, collect(frames)>.
TEST_CASE("collecting frames is the transpose of blurring and repeating the border", "[pcdc]") {
    for (const Pcdc &q : convolved) {
        CAPTURE(describe(q));
        const int reach_x = largest(q.tap_columns), reach_y = largest(q.tap_rows);
        Random random;
        const Array map = random({q.W, q.H(), q.E * q.G, q.N}), staged = reference::blurred(q, map);
        const Array frames = random(
            {tile_columns + 2 * reach_x, tile_rows + 2 * reach_y, q.E, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N});
        double expected = 0;
        for_each_place(frames, [&](double value, int column, int line, int i, int g, int tx, int ty, int phase, int n) {
            const int x = tx * tile_columns + column - reach_x, row = ty * tile_rows + line - reach_y;
            if (x < q.W + reach_x && row < q.rows + reach_y) {  // what no tap of a pixel reaches is nobody's
                expected += value * staged(q.inside_x(x), q.inside_y(phase + q.step * row), i + q.E * g, n);
            }
        });
        const auto check = [&](const auto &build, auto lines) {
            const PcdcInputs none;
            const Array d_map = build.kernels(q, none).collect(lines.buffer());
            const double scale = std::sqrt(dot(map, map) * dot(d_map, d_map));
            CHECK(std::abs(dot(map, d_map) - expected) < (build.bits == 32 ? 1e-6 : 1e-13) * scale);
        };
        check(Build<float>(), Lines<float>(frames));
        check(Build<double>(), Lines<double>(frames));
    }
}

TEST_CASE("a whole tile's sum of squares keeps its digits", "[pcdc]") {
    const Pcdc q = problem({2, 1, 4, 36, 4, 9}, {64, 16, 4}, {2}, {1}, 0, no_relu);
    const PcdcInputs in = random_inputs(q);
    const Array actual = Build<float>().kernels(q, in).statistics();
    const Array expected = padded(reference::statistics(q, reference::hidden(q, in).h), actual.sizes[0]);
    for (size_t k = 0; k < expected.values.size(); k++) {
        REQUIRE(std::abs(actual.values[k] - expected.values[k]) <= 3e-6 * expected.values[k]);
    }
}

TEST_CASE("the kernels of the difference give the same bits on one thread and on two", "[pcdc]") {
    const auto all = [](const Pcdc &q, int threads) {
        Halide::Internal::JITSharedRuntime::set_num_threads(threads);
        const PcdcInputs in = random_inputs(q);
        Kernels<float> kernels = Build<float>().kernels(q, in);
        const Lines<float> record = kernels.scores_record();
        const PcdcGradients d = kernels.gradients(record, q.L + 1);
        std::vector<std::vector<double>> values;
        for (const Array &a :
             {kernels.statistics(), kernels.scores(), kernels.moments(), record.array(), d.key, d.coarse}) {
            values.push_back(a.values);
        }
        if (!q.upsampled()) {
            values.push_back(kernels.difference().values);
            values.push_back(kernels.difference_record(Random()({q.W, q.H(), q.L, q.G, q.N})).array().values);
        }
        return values;
    };
    for (const Pcdc &q : {convolved[1], convolved[4], interpolated[1], interpolated[4]}) {
        CAPTURE(describe(q));
        CHECK((all(q, 1) == all(q, 2)));
    }
    Halide::Internal::JITSharedRuntime::set_num_threads(0);
}

TEST_CASE("the kernels of the difference are right with narrower vectors", "[pcdc]") {
    const Target baseline("x86-64-linux"), avx2("x86-64-linux-sse41-avx-f16c-fma-avx2");
    check_scores_adjoint(convolved, Build<float>{{}, baseline});
    if (!Halide::get_host_target().has_feature(Target::AVX2)) {
        WARN("skipped: " << avx2.to_string() << " does not run here");
        return;
    }
    check_hidden(convolved, Build<double>{{}, avx2});
    check_scores_adjoint(interpolated, Build<double>{{}, avx2});
}

TEST_CASE("the algorithm of the difference is right without its schedule", "[pcdc]") {
    const Build<double> plain{{{"default_schedule", "true"}}};
    const std::vector<Pcdc> tiny{problem({1, 2, 2, 3, 2, 2}, {3, 2, 2}, {-1, 2}, {0, 1}, soft, 0),
                                 upsampled({1, 2, 2, 3, 2, 2}, {3, 4, 2, 2}, 0)};
    for (const Pcdc &q : tiny) {
        CAPTURE(describe(q));
        const PcdcInputs in = random_inputs(q);
        const Array h = reference::hidden(q, in).h;
        Kernels<double> kernels = plain.kernels(q, in);
        check_close("scores", 64, kernels.scores(), reference::scores(q, in, h));
        check_close("moments", 64, kernels.moments(), reference::moments(q, in, h));
        if (!q.upsampled()) {
            check_close("difference", 64, kernels.difference(), planar(q, reference::difference(q, in)));
        }
    }
}
