// The PCDC kernels, compiled in memory, against plain loops.
#include "support/pcdc_checks.h"

using namespace upwell;
using namespace upwell::test;
using Halide::Target;

namespace {

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

}  // namespace

TEST_CASE("the difference and its adjoint are the formula", "[pcdc]") {
    check_difference(convolved, Build<float>(), Build<double>());
}

TEST_CASE("statistics, scores and moments are the formula", "[pcdc]") {
    check_hidden(convolved, Build<float>(), Build<double>());
    check_hidden(interpolated, Build<float>(), Build<double>());
}

TEST_CASE("the adjoint of the scores is their gradient with statistics held", "[pcdc]") {
    check_scores_backward(convolved, Build<float>(), Build<double>());
    check_scores_backward(interpolated, Build<float>(), Build<double>());
}

TEST_CASE("passes make the same bits of hidden channels that were kept", "[pcdc]") {
    check_kept(convolved, Build<float>(), Build<double>());
    check_kept(interpolated, Build<float>(), Build<double>());
}

TEST_CASE("tiles that do not overlap are collected as frames without a reach are", "[pcdc]") {
    for (const Pcdc &convolution : convolved) {
        Pcdc q = convolution;
        q.tap_columns = q.tap_rows = {0};
        q.side = 0;
        CAPTURE(describe(q));
        const Array tiles = Random()({q.tile.columns, q.tile.rows, q.E, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N});
        const PcdcInputs none;
        Lines<float> lines(tiles);
        Kernels<float> kernels(q, none);
        CHECK(kernels.collect(lines.buffer(), true).values == kernels.collect(lines.buffer()).values);
    }
}

// <stage(map), frames> = <map, collect(frames)>.
TEST_CASE("collecting frames is the transpose of blurring and repeating the border", "[pcdc]") {
    for (const Pcdc &q : convolved) {
        CAPTURE(describe(q));
        const int reach_x = largest(q.tap_columns), reach_y = largest(q.tap_rows);
        Random random;
        const Array map = random({q.W, q.H(), q.E * q.G, q.N}), staged = reference::blurred(q, map);
        const Array frames = random(
            {q.tile.columns + 2 * reach_x, q.tile.rows + 2 * reach_y, q.E, q.G, q.tiles_x(), q.tiles_y(), q.step, q.N});
        double expected = 0;
        for_each_place(frames, [&](double value, int column, int line, int i, int g, int tx, int ty, int phase, int n) {
            const int x = tx * q.tile.columns + column - reach_x, row = ty * q.tile.rows + line - reach_y;
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
    check_scores_backward(convolved, Build<float>{{}, baseline});
    if (!Halide::get_host_target().has_feature(Target::AVX2)) {
        WARN("skipped: " << avx2.to_string() << " does not run here");
        return;
    }
    check_hidden(convolved, Build<double>{{}, avx2});
    check_scores_backward(interpolated, Build<double>{{}, avx2});
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
