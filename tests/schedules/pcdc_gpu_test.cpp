// The GPU schedules of the PCDC kernels, executed through OpenCL (on a CPU where PoCL is installed), against plain
// loops.
#include "support/opencl.h"
#include "support/pcdc_checks.h"

using namespace upwell;
using namespace upwell::test;

namespace {

std::vector<Pcdc> in_gpu_tiles(std::vector<Pcdc> problems) {
    for (Pcdc &q : problems) {
        q.tile = pcdc::gpu_tile;
    }
    return problems;
}

template<class T> Build<T> gpu() {
    return {{}, opencl()};
}

// What does not depend on tiles.
std::vector<Array> results(Kernels<float> kernels, const Pcdc &q) {
    const PcdcGradients d = kernels.gradients(kernels.scores_record(), q.L + 1);
    std::vector<Array> all{kernels.scores(), d.query, d.query_weight, d.bias, d.compress, d.compress_bias};
    if (q.upsampled()) {
        all.push_back(d.coarse);
        return all;
    }
    for (const Array &more : {d.key, d.key_weight, kernels.difference()}) {
        all.push_back(more);
    }
    return all;
}

bool has_device() {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return false;
    }
    return true;
}

}  // namespace

TEST_CASE("the difference and its adjoint are the formula on a GPU", "[pcdc][gpu]") {
    if (has_device()) {
        check_difference(in_gpu_tiles(convolved), gpu<float>(), gpu<double>());
    }
}

TEST_CASE("statistics, scores and moments are the formula on a GPU", "[pcdc][gpu]") {
    if (has_device()) {
        check_hidden(in_gpu_tiles(convolved), gpu<float>(), gpu<double>());
        check_hidden(in_gpu_tiles(interpolated), gpu<float>(), gpu<double>());
    }
}

TEST_CASE("the adjoint of the scores is their gradient with statistics held on a GPU", "[pcdc][gpu]") {
    if (has_device()) {
        check_scores_backward(in_gpu_tiles(convolved), gpu<float>(), gpu<double>());
        check_scores_backward(in_gpu_tiles(interpolated), gpu<float>(), gpu<double>());
    }
}

TEST_CASE("a GPU gives the CPU's answer, and the same bits every time", "[pcdc][gpu]") {
    if (!has_device()) {
        return;
    }
    for (const Pcdc &on_cpu : {convolved[1], convolved[2], interpolated[1]}) {
        CAPTURE(describe(on_cpu));
        const PcdcInputs in = random_inputs(on_cpu);
        const Pcdc on_gpu = in_gpu_tiles({on_cpu})[0];
        const auto expected = results(Build<float>().kernels(on_cpu, in), on_cpu);
        const auto actual = results(gpu<float>().kernels(on_gpu, in), on_gpu);
        const auto again = results(gpu<float>().kernels(on_gpu, in), on_gpu);
        for (size_t k = 0; k < expected.size(); k++) {
            check_close("result", 32, actual[k], expected[k]);
            CHECK(actual[k].values == again[k].values);
        }
    }
}

TEST_CASE("a whole tile's sum of squares keeps its digits on a GPU", "[pcdc][gpu]") {
    if (!has_device()) {
        return;
    }
    const Pcdc q = in_gpu_tiles({problem({2, 1, 4, 36, 4, 9}, {64, 16, 4}, {2}, {1}, 0, no_relu)})[0];
    const PcdcInputs in = random_inputs(q);
    const Array actual = gpu<float>().kernels(q, in).statistics();
    const Array expected = padded(reference::statistics(q, reference::hidden(q, in).h), actual.sizes[0]);
    for (size_t k = 0; k < expected.values.size(); k++) {
        REQUIRE(std::abs(actual.values[k] - expected.values[k]) <= 3e-6 * expected.values[k]);
    }
}
