// The spaces of the window kernel's schedules: what a space allows computes the reference's answer, and what it does
// not allow is refused in words.
#include <future>

#include "support/catch.h"
#include "support/generator.h"
#include "support/opencl.h"
#include "support/space.h"

using namespace upwell;
using namespace upwell::test;
using Halide::GeneratorParamsMap;
using Halide::Target;

namespace {

const std::vector<Direction> every_direction{Direction::Forward, Direction::DValue, Direction::DWeight};

// What the schedule makes of the parameters, without compiling it.
void plan(const Variant &variant, const GeneratorParamsMap &more, const Target &target) {
    GeneratorParamsMap parameters = variant.parameters();
    parameters.insert(more.begin(), more.end());
    build(variant.name(), target, parameters);
}

KnobSpace space_of(const Variant &variant, const Target &target) {
    return KnobSpace(variant.name(), target, variant.parameters());
}

// The error that a plan ends with, or nothing.
std::string refusal(const Variant &variant, const GeneratorParamsMap &more, const Target &target) {
    try {
        plan(variant, more, target);
    } catch (const std::exception &error) {
        return error.what();
    }
    return "";
}

// Narrower than a vector, and past the edge of every block; channels that no block divides.
std::vector<reference::Problem> problems(const Variant &v) {
    if (v.ratio > 0) {
        return {{v.op, v.kernel, 1, 3, 2, 1, 2 * v.ratio, v.ratio},
                {v.op, v.kernel, 2, 19, 9, 11, 9 * v.ratio, 11 * v.ratio}};
    }
    return {{v.op, v.kernel, 1, 3, 2, 1, 5, 3}, {v.op, v.kernel, 2, 37, 5, 7, 13, 36}};
}

struct Point {
    Variant variant;
    GeneratorParamsMap knobs;
    Target target;
};

// What is wrong, or nothing.
std::string failure(const Point &point) {
    const std::string where = point.variant.describe() + " " + describe(point.knobs);
    try {
        const Halide::Callable kernel = compile(point.variant, point.knobs, point.target);
        for (const reference::Problem &q : problems(point.variant)) {
            const reference::Inputs in = random_inputs(q);
            const double error = worst_error(run(kernel, point.variant, q, in), expected(point.variant, q, in));
            if (!(error < tolerance(point.variant))) {
                return where + " is " + std::to_string(error) + " off at N,C,h,w,H,W = " + describe(q);
            }
        }
    } catch (const std::exception &error) {
        return where + ": " + error.what();
    }
    return "";
}

std::vector<Point> sample(const Variant &variant, size_t count, const Target &target) {
    std::vector<Point> points;
    for (const GeneratorParamsMap &knobs : space_of(variant, target).sample(count)) {
        points.push_back({variant, knobs, target});
    }
    return points;
}

void check(const std::vector<Point> &points) {
    const auto every_other = [&](size_t first) {
        std::vector<std::string> failures;
        for (size_t i = first; i < points.size(); i += 2) {
            failures.push_back(failure(points[i]));
        }
        return failures;
    };
    std::future<std::vector<std::string>> odd = std::async(std::launch::async, every_other, 1);
    for (const std::vector<std::string> &failures : {every_other(0), odd.get()}) {
        for (const std::string &message : failures) {
            CHECK(message == "");
        }
    }
}

Variant reassembly(Direction direction, int ratio) {
    return Variant(reference::find("carafe_reassembly"), direction, 3, ratio);
}

Target wide_vectors() {
    return Target("x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41");
}

}  // namespace

TEST_CASE("the hand schedule is a point of its space", "[window_space]") {
    for (const Target &target : {wide_vectors(), Target("x86-64-linux-avx-avx2-f16c-fma-sse41"), Target("x86-64-linux"),
                                 Target("x86-64-linux-cuda-cuda_capability_75")}) {
        for (const Direction direction : every_direction) {
            for (const int ratio : {0, 1, 2, 3, 4, 5, 7, 8, 16, 32}) {
                for (const int kernel : {1, 3, 5, 7}) {
                    const Variant variant(reference::find("fns"), direction, kernel, ratio);
                    CAPTURE(variant.describe(), target.to_string());
                    const KnobSpace space = space_of(variant, target);
                    REQUIRE(space.knobs() > 0);
                    CHECK(space.count(space.hand()) == 1);
                    CHECK(refusal(variant, space.hand(), target) == "");
                }
            }
        }
    }
}

TEST_CASE("every legal point of a CPU's spaces is right", "[window_space]") {
    std::vector<Point> points;
    for (const Direction direction : every_direction) {
        for (const int ratio : {4, 0}) {
            for (const Point &point : sample(reassembly(direction, ratio), 12, Halide::get_host_target())) {
                points.push_back(point);
            }
        }
    }
    check(points);
}

TEST_CASE("every legal point of a GPU's spaces is right", "[window_space][gpu]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    for (const Direction direction : every_direction) {
        for (const int ratio : {4, 0}) {
            for (const Point &point : sample(reassembly(direction, ratio), 4, opencl())) {
                CHECK(failure(point) == "");
            }
        }
    }
}

TEST_CASE("a knob outside of its space is refused by name", "[window_space]") {
    const Target cpu = wide_vectors(), gpu("x86-64-linux-cuda-cuda_capability_75");
    const Variant output = reassembly(Direction::Forward, 4), value = reassembly(Direction::DValue, 4);
    CHECK(refusal(output, {{"unroll_rows", "3"}}, cpu) == "unroll_rows should be one of 1, 2, 4 but is 3");
    CHECK(refusal(output, {{"strip_rows", "-4"}}, cpu).find("strip_rows should be one of") == 0);
    CHECK(refusal(value, {{"tile_cells", "-5"}}, gpu).find("tile_cells should be one of") == 0);
    // Of another kernel, or of another target.
    CHECK(refusal(output, {{"sum_channels", "16"}}, cpu) == "this kernel has no knob sum_channels on this target");
    CHECK(refusal(output, {{"threads_x", "32"}}, cpu) == "this kernel has no knob threads_x on this target");
    CHECK(refusal(value, {{"strip_rows", "32"}}, gpu) == "this kernel has no knob strip_rows on this target");
}

TEST_CASE("values that do not go together are refused with the rule", "[window_space]") {
    const Target cpu = wide_vectors(), gpu("x86-64-linux-cuda-cuda_capability_75");
    const auto rule = [](const Variant &variant, const GeneratorParamsMap &knobs, const Target &target) {
        const std::string text = refusal(variant, knobs, target);
        CAPTURE(variant.describe(), text);
        CHECK(text.find("broken rule: ") == 0);
        return text;
    };
    CHECK(rule(reassembly(Direction::Forward, 4), {{"unroll_rows", "4"}, {"unroll_channels", "16"}}, cpu)
              .find("accumulators as registers hold") != std::string::npos);
    CHECK(rule(reassembly(Direction::Forward, 4), {{"threads_x", "128"}, {"threads_z", "8"}}, gpu)
              .find("threads of a block") != std::string::npos);
    CHECK(rule(reassembly(Direction::DValue, 4), {{"threads_z", "4"}, {"tile_channels", "2"}}, gpu)
              .find("threads_z divides tile_channels") != std::string::npos);
    CHECK(rule(reassembly(Direction::DValue, 4), {{"tile_rows", "4"}, {"tile_channels", "32"}}, gpu)
              .find("are at most 64") != std::string::npos);
}
