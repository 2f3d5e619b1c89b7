// The guided filter with a colour guide and its gradients, compiled in memory, against plain loops and their
// derivatives, on a CPU and through OpenCL.
#include "reference/colour_guided_filter.h"
#include "support/guided_filter.h"
#include "support/opencl.h"
#include "support/space.h"

using namespace upwell;
using namespace upwell::test;

namespace {

// One image's maps in q; its planes say nothing.
struct Problem {
    int images, channels;
    GuidedFilter q;
};

// One pixel, one pixel wide, odd, fewer channels than a task has and more, boxes beyond the image; wider than a tile of
// columns, more rows than a band.
const std::vector<Problem> small_problems{
    {1, 1, {1, 1, 1, 1, 1, 3, 2}},  {2, 3, {1, 7, 1, 3, 1, 1, 1}},        {1, 5, {1, 5, 6, 5, 6, 0, 1}},
    {2, 9, {1, 4, 9, 2, 4, 50, 2}}, {2, 1, {1, 9, 11, 5, 3, 1, 3, true}}, {1, 2, {1, 6, 5, 3, 3, 1, 9}},
};
const std::vector<Problem> large_problems{
    {2, 5, {1, 40, 150, 11, 31, 3, 1}},
    {1, 9, {1, 141, 37, 20, 9, 8, 2, true}},
    {1, 1, {1, 23, 210, 6, 53, 70, 3}},
};

std::string describe(const Problem &p) {
    return "images,channels = " + std::to_string(p.images) + "," + std::to_string(p.channels) + " " +
           upwell::test::describe(p.q);
}

struct ColourMaps {
    explicit ColourMaps(const Problem &p)
        : guide(random_values(size_t(p.images) * 3 * p.q.H * p.q.W, 1)),
          input(random_values(size_t(p.images) * p.channels * p.q.h * p.q.w, 2)),
          d_output(random_values(size_t(p.images) * p.channels * p.q.H * p.q.W, 3)) {}

    Values guide, input, d_output;
};

struct Results {
    Values output, d_input, d_guide;
};

template<class T> Results run(const Problem &p, const ColourMaps &in, const Build &build) {
    const GuidedFilter &q = p.q;
    const std::vector<int> of_guide{q.W, q.H, 3, p.images}, high{q.W, q.H, p.channels, p.images},
        low{q.w, q.h, p.channels, p.images};
    Memory<T> guide(in.guide, of_guide), input(in.input, low), d_output(in.d_output, high);
    const Tables<T> t(q);
    const auto compiled = [&](const std::string &name) { return compile_filter(name, 8 * sizeof(T), build); };
    const auto made = [&](const std::vector<int> &sizes, const auto &call) {
        Memory<T> result(Values(size_t(sizes[0]) * sizes[1] * sizes[2] * sizes[3], NAN), sizes);
        Halide::Buffer<> buffer = result.buffer();
        call(buffer);
        take(buffer, build.on_device());
        require_guards(result.guards_hold());
        return result.values();
    };
    const T eps = T(q.eps);
    return {made(high,
                 [&](Halide::Buffer<> &result) {
                     compiled("colour_guided_filter")(given(guide), given(input), t.key_columns.lower,
                                                      t.key_columns.fraction, t.key_rows.lower, t.key_rows.fraction,
                                                      t.columns.lower, t.columns.fraction, t.rows.lower,
                                                      t.rows.fraction, q.radius, q.scale, eps, result);
                 }),
            made(low,
                 [&](Halide::Buffer<> &result) {
                     compiled("colour_guided_filter_d_input")(
                         given(guide), q.w, q.h, given(d_output), t.key_columns.lower, t.key_columns.fraction,
                         t.key_rows.lower, t.key_rows.fraction, t.columns.lower, t.columns.fraction, t.rows.lower,
                         t.rows.fraction, q.radius, q.scale, eps, result);
                 }),
            made(of_guide, [&](Halide::Buffer<> &result) {
                compiled("colour_guided_filter_d_guide")(given(guide), given(input), given(d_output),
                                                         t.key_columns.lower, t.key_columns.fraction, t.key_rows.lower,
                                                         t.key_rows.fraction, t.columns.lower, t.columns.fraction,
                                                         t.rows.lower, t.rows.fraction, q.radius, q.scale, eps, result);
            })};
}

Values expected(const Problem &p, const Values &guide, const Values &input) {
    Values output;
    for (int plane = 0; plane < p.images * p.channels; plane++) {
        const Values one = reference::colour_filter_plane(p.q, &guide[size_t(plane / p.channels) * 3 * p.q.H * p.q.W],
                                                          &input[size_t(plane) * p.q.h * p.q.w]);
        output.insert(output.end(), one.begin(), one.end());
    }
    return output;
}

// d <output, d_output> along a random direction of one of the maps, by central differences of the loops.
double difference(const Problem &p, const ColourMaps &in, Values ColourMaps::*map, const Values &direction) {
    double sum = 0;
    for (const double step : {1e-5, -1e-5}) {
        ColourMaps moved = in;
        for (size_t i = 0; i < direction.size(); i++) {
            (moved.*map)[i] += step * direction[i];
        }
        sum += dot(expected(p, moved.guide, moved.input), in.d_output) / (2 * step);
    }
    return sum;
}

template<class T> void check(const std::vector<Problem> &problems, const Build &build = {}) {
    constexpr bool is_single = sizeof(T) == 4;
    for (const Problem &p : problems) {
        CAPTURE(describe(p), sizeof(T));
        const ColourMaps in(p);
        const Results actual = run<T>(p, in, build);
        CHECK(worst_error(actual.output, expected(p, in.guide, in.input)) < (is_single ? 5e-5 : 1e-11));
        for (const auto &[map, gradient] :
             {std::pair{&ColourMaps::input, &actual.d_input}, {&ColourMaps::guide, &actual.d_guide}}) {
            for (const unsigned seed : {4, 5}) {
                const Values direction = random_values(gradient->size(), seed);
                const double length = std::sqrt(dot(*gradient, *gradient));
                CHECK(std::abs(dot(*gradient, direction) - difference(p, in, map, direction)) <
                      (is_single ? 2e-4 : 1e-6) * length + 1e-9);
            }
        }
    }
}

}  // namespace

TEST_CASE("the guided filter with a colour guide and its gradients are the formula", "[colour_guided_filter]") {
    check<float>(small_problems);
    check<float>(large_problems);
    check<double>(small_problems);
    check<double>(large_problems);
}

TEST_CASE("the guided filter with a colour guide is right with the default schedule", "[colour_guided_filter]") {
    check<double>(small_problems, {{{"default_schedule", "true"}}});
}

TEST_CASE("the guided filter with a colour guide is right with narrower vectors", "[colour_guided_filter]") {
    check<float>(large_problems, {{}, Halide::Target("x86-64-linux")});
}

TEST_CASE("the guided filter with a colour guide gives the same bits on one thread and on two",
          "[colour_guided_filter]") {
    for (const Problem &p : large_problems) {
        CAPTURE(describe(p));
        std::vector<Results> results;
        for (const int threads : {1, 2}) {
            Halide::Internal::JITSharedRuntime::set_num_threads(threads);
            results.push_back(run<float>(p, ColourMaps(p), {}));
        }
        CHECK(results[0].output == results[1].output);
        CHECK(results[0].d_input == results[1].d_input);
        CHECK(results[0].d_guide == results[1].d_guide);
    }
    Halide::Internal::JITSharedRuntime::set_num_threads(0);
}

TEST_CASE("any point of the space of the guided filter with a colour guide computes the formula",
          "[colour_guided_filter][space]") {
    const KnobSpace space("colour_guided_filter_d_guide", Halide::get_host_target());
    CHECK(space.size() > 100);
    for (const KnobSpace::Point &point : space.sample(2)) {
        CAPTURE(describe(point));
        check<float>(large_problems, {point});
    }
}

TEST_CASE("the guided filter with a colour guide and its gradients are the formula on a GPU",
          "[gpu][colour_guided_filter]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    const Build gpu{{}, opencl()};
    check<float>(small_problems, gpu);
    check<float>(large_problems, gpu);
    check<double>(small_problems, gpu);
    // A chunk of fewer channels than there are.
    check<float>({{1, 35, {1, 128, 130, 64, 65, 2, 1}}}, {{{"chunk_pixels", "524288"}}, opencl()});
}
