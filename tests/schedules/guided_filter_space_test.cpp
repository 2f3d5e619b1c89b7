// Every point of the guided filter's spaces computes the same.
#include "support/guided_filter.h"
#include "support/opencl.h"
#include "support/space.h"

using namespace upwell;
using namespace upwell::test;

namespace {

const std::vector<GuidedFilter> several{small[9], large[1], large[3]};

Values run(const std::string &kernel, const GuidedFilter &q, const Build &build) {
    const Halide::Callable compiled = compile_filter(kernel, 32, build);
    const Maps in(q);
    if (kernel == "guided_filter") {
        return filter<float>(compiled, q, in, build.on_device());
    }
    Gradients d = adjoint<float>(compiled, q, in, build.on_device());
    d.guide.insert(d.guide.end(), d.input.begin(), d.input.end());
    return d.guide;
}

void check_points(const Halide::Target &target, size_t count) {
    for (const std::string kernel : {"guided_filter", "guided_filter_backward"}) {
        const KnobSpace space(kernel, target);
        CAPTURE(kernel, space.size());
        CHECK(space.size() > 100);
        for (const KnobSpace::Point &point : space.sample(kernel == "guided_filter" ? count : (count + 1) / 2)) {
            for (const GuidedFilter &q : several) {
                CAPTURE(describe(point), describe(q));
                const Values actual = run(kernel, q, {point, target});
                CHECK(worst_error(actual, run(kernel, q, {})) < close_to_loops(32));
                if (kernel == "guided_filter") {
                    const Maps in(q);
                    CHECK(worst_error(actual, reference::filter(q, in.guide, in.input)) < close_to_loops(32));
                }
            }
        }
    }
}

}  // namespace

TEST_CASE("any point of the guided filter's space computes the formula", "[guided_filter][space]") {
    check_points(Halide::get_host_target(), 5);
}

TEST_CASE("any point of the guided filter's space computes the formula on a GPU", "[guided_filter][space][gpu]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    check_points(opencl(), 1);
}

TEST_CASE("the guided filter's hand point is what it takes by itself", "[guided_filter][space]") {
    const KnobSpace space("guided_filter", Halide::get_host_target());
    CHECK(run("guided_filter", large[1], {space.hand()}) == run("guided_filter", large[1], {}));
}

TEST_CASE("the guided filter refuses what is not in its space", "[guided_filter][space]") {
    const Halide::Target host = Halide::get_host_target(), gpu = opencl();
    CHECK_THROWS_WITH(build("guided_filter", host, {{"tile_columns", "48"}}),
                      ContainsSubstring("tile_columns should be one of 16, 32, 64, 128, 256 but is 48"));
    CHECK_THROWS_WITH(build("guided_filter_backward", host, {{"task_planes", "-1"}}),
                      ContainsSubstring("task_planes should be"));
    CHECK_THROWS_WITH(build("guided_filter", gpu, {{"columns_along_x", "256"}, {"rows_along_x", "4"}}),
                      ContainsSubstring("a block along x has 64 to 512 threads"));
    CHECK_THROWS_WITH(build("guided_filter", host, {{"chunk_pixels", "8"}}),
                      ContainsSubstring("this kernel has no knob chunk_pixels on this target"));
}
