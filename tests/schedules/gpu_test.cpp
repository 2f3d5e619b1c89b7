// The GPU schedules, executed through OpenCL (on a CPU where PoCL is installed), against plain loops.
#include "support/catch.h"
#include "support/generator.h"
#include "support/opencl.h"

using namespace upwell;
using namespace upwell::test;
using Halide::Float;

namespace {

// One pixel, narrow and tall, wide and flat, past the edge of several blocks; channels that no block divides.
std::vector<reference::Problem> problems(const Variant &v) {
    const auto of = [&](int N, int C, int h, int w, int H, int W) {
        return reference::Problem{v.op, v.kernel, N, C, h, w, H, W};
    };
    if (v.ratio > 4) {
        const int r = v.ratio;
        return {of(1, 1, 1, 1, r, r), of(2, 9, 5, 3, 5 * r, 3 * r), of(1, 2, 1, 13, r, 13 * r)};
    }
    if (v.ratio > 0) {
        const int r = v.ratio;
        return {of(1, 1, 1, 1, r, r), of(1, 2, 19, 1, 19 * r, r), of(3, 17, 3, 17, 3 * r, 17 * r),
                of(2, 3, 5, 49, 5 * r, 49 * r)};
    }
    return {of(1, 1, 1, 1, 1, 1), of(1, 2, 1, 3, 40, 2), of(3, 17, 5, 7, 13, 33), of(2, 3, 9, 80, 4, 67)};
}

// The inputs as the type holds them; weights are not in 16 bits.
reference::Inputs held(const Halide::Type &type, reference::Inputs in) {
    for (std::vector<double> *values : {&in.value, &in.d_output}) {
        for (double &v : *values) {
            v = type.bits() != 16 ? v : type.is_bfloat() ? double(Halide::bfloat16_t(v)) : double(Halide::float16_t(v));
        }
    }
    return in;
}

// The largest error next to what it may be: that of float32 and, of 16-bit numbers, half a unit of the last place.
double worst_rounding(const Variant &variant, const std::vector<double> &actual, const std::vector<double> &expected) {
    const double unit = variant.type.is_bfloat() ? 0x1p-7 : 0x1p-10;
    double worst = actual.size() == expected.size() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(actual.size(), expected.size()); i++) {
        const double error = std::abs(actual[i] - expected[i]), size = std::abs(expected[i]);
        worst = std::max(worst, std::isnan(error) ? INFINITY : error / (1e-5 * std::max(1.0, size) + unit / 2 * size));
    }
    return worst;
}

double worst_error(const Variant &variant) {
    const Halide::Callable gpu = compile(variant, {}, opencl());
    double worst = 0;
    for (const reference::Problem &q : problems(variant)) {
        const reference::Inputs in = held(variant.type, random_inputs(q));
        bool on_device;
        const std::vector<double> actual = run(gpu, variant, q, in, on_device), right = expected(variant, q, in);
        worst = std::max(worst, variant.type.bits() == 16 ? worst_rounding(variant, actual, right)
                                                          : test::worst_error(actual, right));
        CHECK(on_device);
    }
    return worst;
}

std::vector<Direction> directions(const reference::Operator &op) {
    std::vector<Direction> all{Direction::Forward, Direction::DValue};
    if (op.has_weights) {
        all.push_back(Direction::DWeight);
    }
    return all;
}

std::vector<Variant> every_direction(const std::string &name, int kernel, int ratio, Halide::Type type = Float(32)) {
    std::vector<Variant> variants;
    for (const Direction direction : directions(reference::find(name))) {
        variants.emplace_back(reference::find(name), direction, kernel, ratio, type);
    }
    return variants;
}

void check(const std::vector<Variant> &variants) {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    for (const Variant &variant : variants) {
        CAPTURE(variant.describe());
        CHECK(worst_error(variant) < (variant.type.bits() == 16 ? 1 : tolerance(variant)));
    }
}

}  // namespace

TEST_CASE("every GPU schedule is right", "[gpu]") {
    for (const reference::Operator &op : reference::operators()) {
        for (const int ratio : {2, 0}) {
            check(every_direction(op.name, op.has_weights ? 3 : 1, ratio));
        }
    }
}

TEST_CASE("larger ratios and kernels are right on a GPU", "[gpu]") {
    check(every_direction("fns", 5, 4));
    check(every_direction("fns", 3, 3));
    check(every_direction("fns", 3, 12));
    check(every_direction("fns", 3, 16));
    check(every_direction("carafe", 5, 4));
    check(every_direction("carafe_reassembly", 7, 0));
}

TEST_CASE("a GPU takes more samples than a launch has blocks", "[gpu]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    for (const Variant &variant : every_direction("nearest", 1, 2)) {
        const reference::Problem q{variant.op, 1, 65537, 1, 1, 1, 2, 2};
        const reference::Inputs in = random_inputs(q);
        CAPTURE(variant.describe());
        CHECK(test::worst_error(run(compile(variant, {}, opencl()), variant, q, in), expected(variant, q, in)) < 1e-5);
    }
}

TEST_CASE("16-bit maps are read exactly and rounded once on a GPU", "[gpu]") {
    for (const Halide::Type type : {Float(16), Halide::BFloat(16)}) {
        check(every_direction("fns", 3, 2, type));
        check(every_direction("carafe_reassembly", 5, 0, type));
        check(every_direction("bilinear", 1, 0, type));
    }
}

TEST_CASE("doubles are right on a GPU", "[gpu]") {
    check(every_direction("fns", 3, 2, Float(64)));
    check(every_direction("fns", 3, 0, Float(64)));
    check(every_direction("carafe", 5, 4, Float(64)));
}
