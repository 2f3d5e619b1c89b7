// Every point of the PCDC kernels' spaces computes the same.
#include "support/opencl.h"
#include "support/pcdc_checks.h"
#include "support/space.h"

using namespace upwell;
using namespace upwell::test;
using Halide::Target;

namespace {

std::vector<Pcdc> in_tiles(std::vector<Pcdc> problems, const Target &target) {
    for (Pcdc &q : problems) {
        q.tile = target.has_gpu_feature() ? pcdc::gpu_tile : pcdc::cpu_tile;
    }
    return problems;
}

void check_pass(const std::string &pass, const Pcdc &q, const Build<float> &build) {
    const PcdcInputs in = random_inputs(q);
    Kernels<float> kernels = build.kernels(q, in);
    if (pass == "") {
        check_close("difference", 32, kernels.difference(), planar(q, reference::difference(q, in)));
        return;
    }
    if (pass == "backward") {
        const Array d_v = Random()({q.L, q.W, q.H(), q.G, q.N});
        check_gradients(q, 32, kernels.gradients(kernels.difference_record(planar(q, d_v)), 0),
                        reference::difference_backward(q, in, d_v));
        return;
    }
    const reference::Hidden hidden = reference::hidden(q, in);
    if (pass == "statistics") {
        check_close("statistics", 32, kernels.statistics(), reference::statistics(q, hidden.h));
    } else if (pass == "hidden") {
        check_close("hidden", 32, kernels.hidden(), by_phases(q, hidden.h));
    } else if (pass == "scores") {
        check_close("scores", 32, kernels.scores(), reference::scores(q, in, hidden.h));
    } else if (pass == "moments") {
        check_close("moments", 32, kernels.moments(), reference::moments(q, in, hidden.h));
    } else {
        check_gradients(q, 32, kernels.gradients(kernels.scores_record(), q.L + 1),
                        reference::scores_backward(q, in, hidden));
    }
}

// A sample of the points of a pass, convolved and interpolated.
void check_points(const std::string &pass, const Target &target, size_t count) {
    const auto check = [&](const std::string &kernel, const std::vector<Pcdc> &problems) {
        const KnobSpace space(kernel, target);
        CAPTURE(kernel, space.size());
        CHECK(space.size() >= 12);
        for (const KnobSpace::Point &point : space.sample(count)) {
            for (const Pcdc &q : in_tiles(problems, target)) {
                CAPTURE(describe(point), describe(q));
                check_pass(pass, q, {point, target});
            }
        }
    };
    check(pass == "" ? "pcdc" : "pcdc_" + pass, {convolved[1], convolved[4]});
    if (pass != "" && pass != "backward") {
        check("pcdc_upsampled_" + pass, {interpolated[1], interpolated[4]});
    }
}

}  // namespace

TEST_CASE("any point of the PCDC kernels' spaces computes the formula", "[pcdc][space]") {
    for (const char *pass : {"scores", "scores_backward"}) {
        check_points(pass, Halide::get_host_target(), 4);
    }
    for (const char *pass : {"", "backward", "statistics", "moments", "hidden"}) {
        check_points(pass, Halide::get_host_target(), 1);
    }
    check_points("scores", Target("x86-64-linux"), 1);
}

TEST_CASE("any point of the PCDC kernels' spaces computes the formula on a GPU", "[pcdc][space][gpu]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    for (const char *pass : {"", "scores", "scores_backward", "statistics"}) {
        check_points(pass, opencl(), 1);
    }
}

TEST_CASE("the hand point of a PCDC kernel is what it takes by itself", "[pcdc][space]") {
    const Target host = Halide::get_host_target();
    const auto check = [&](const std::string &kernel, const Pcdc &q, const auto &run) {
        const KnobSpace::Point hand = KnobSpace(kernel, host).hand();
        CAPTURE(describe(hand));
        const PcdcInputs in = random_inputs(q);
        CHECK(run(Kernels<float>(q, in, hand, host)) == run(Kernels<float>(q, in)));
    };
    check("pcdc_scores", convolved[1], [](auto kernels) { return kernels.scores().values; });
    check("pcdc_scores_backward", convolved[1], [](auto kernels) { return kernels.scores_record().array().values; });
}

TEST_CASE("a PCDC kernel refuses what is not in its space", "[pcdc][space]") {
    const Target avx512("x86-64-linux-sse41-avx-f16c-fma-avx2-avx512-avx512_skylake"), gpu = opencl();
    CHECK_THROWS_WITH(build("pcdc_scores", avx512, {{"hidden_channels", "48"}}),
                      ContainsSubstring("hidden_channels should be one of 16, 32 but is 48"));
    CHECK_THROWS_WITH(build("pcdc_scores", avx512, {{"hidden_pixels", "16"}}),
                      ContainsSubstring("the registers hold a block of hidden channels and its operands"));
    CHECK_THROWS_WITH(build("pcdc_scores", avx512, {{"tile_columns", "32"}, {"difference_pixels", "12"}}),
                      ContainsSubstring("blocks of pixels divide a tile's columns"));
    CHECK_THROWS_WITH(build("pcdc_scores_backward", avx512, {{"weights_channels", "16"}, {"weights_pixels", "4"}}),
                      ContainsSubstring("a block of gradients of weights takes a quarter of the registers"));
    CHECK_THROWS_WITH(build("pcdc_scores", gpu, {{"tile_rows", "32"}, {"scores_pixels", "1"}}),
                      ContainsSubstring("a block has 64 to 256 threads"));
    CHECK_THROWS_WITH(build("pcdc_statistics", gpu, {{"type", "float64"}, {"hidden_channels", "32"}}),
                      ContainsSubstring("at most 48 KB"));
    CHECK_THROWS_WITH(build("pcdc_scores", avx512, {{"weights_channels", "32"}}),
                      ContainsSubstring("this kernel has no knob weights_channels on this target"));
    CHECK_THROWS_WITH(build("group_stats", avx512, {{"task_rows", "8"}}),
                      ContainsSubstring("this kernel has no knob task_rows on this target"));
}
