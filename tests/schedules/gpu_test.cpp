// The GPU schedule, executed through OpenCL (on a CPU where PoCL is installed), against plain loops.
#include <dlfcn.h>

#include "support/catch.h"
#include "support/generator.h"

using namespace upwell;
using namespace upwell::test;
using Halide::Float;
using Halide::Target;

namespace {

// Platforms that OpenCL's loader finds. The loader stays in the process, where Halide looks for it first.
unsigned opencl_platforms() {
    void *loader = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_GLOBAL);
    void *symbol = loader ? dlsym(loader, "clGetPlatformIDs") : nullptr;
    unsigned count = 0;
    if (symbol) {
        // cl_int clGetPlatformIDs(cl_uint num_entries, cl_platform_id *platforms, cl_uint *num_platforms)
        reinterpret_cast<int (*)(unsigned, void *, unsigned *)>(symbol)(0, nullptr, &count);
    }
    return count;
}

Target opencl() {
    return Halide::get_host_target().with_feature(Target::OpenCL).with_feature(Target::CLDoubles);
}

// A block is 32 x 4 pixels: less than one, exactly one, and past the edge of several.
std::vector<reference::Problem> problems(const Variant &v) {
    const auto of = [&](int N, int C, int h, int w, int H, int W) {
        return reference::Problem{v.op, v.kernel, N, C, h, w, H, W};
    };
    if (v.ratio > 0) {
        const int r = v.ratio;
        return {of(1, 1, 1, 1, r, r), of(1, 3, 2, 16, 2 * r, 16 * r), of(3, 5, 3, 17, 3 * r, 17 * r),
                of(2, 7, 5, 41, 5 * r, 41 * r)};
    }
    return {of(1, 1, 1, 1, 1, 1), of(3, 5, 5, 7, 13, 33), of(2, 3, 9, 80, 4, 67)};
}

double worst_error(const Variant &variant) {
    const Halide::Callable gpu = compile(variant, {}, opencl()), cpu = compile(variant);
    double worst = 0;
    for (const reference::Problem &q : problems(variant)) {
        const reference::Inputs in = random_inputs(q);
        bool on_device;
        const std::vector<double> result = run(gpu, variant, q, in, on_device);
        CHECK(on_device);
        worst = std::max(worst, test::worst_error(result, run(cpu, variant, q, in)));
        worst = std::max(worst, test::worst_error(result, expected(variant, q, in)));
    }
    return worst;
}

}  // namespace

TEST_CASE("the GPU schedule gives the CPU's answer", "[gpu]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    for (const reference::Operator &op : reference::operators()) {
        for (const int ratio : {2, 0}) {
            const Variant variant(op, Direction::Output, op.has_weights ? 3 : 1, ratio);
            CAPTURE(variant.describe());
            CHECK(worst_error(variant) < tolerance(variant));
        }
    }
    for (const Variant &variant : {Variant(reference::find("fns"), Direction::Output, 5, 4),
                                   Variant(reference::find("fns"), Direction::Output, 3, 2, Float(64))}) {
        CAPTURE(variant.describe());
        CHECK(worst_error(variant) < tolerance(variant));
    }
}
