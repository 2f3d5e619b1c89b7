// The GPU schedules of the guided filter and of group statistics, executed through OpenCL (on a CPU where PoCL is
// installed), against plain loops, their derivatives and the CPU's answer.
#include "support/guided_filter.h"
#include "support/opencl.h"

using namespace upwell;
using namespace upwell::test;

namespace {

bool no_device() {
    if (opencl_platforms() > 0) {
        return false;
    }
    WARN("skipped: no OpenCL device");
    return true;
}

const Build gpu{{}, opencl()};

// More planes than a launch takes.
const std::vector<GuidedFilter> many{{1030, 2, 3, 1, 2, 1, 1}};

template<class T> void check_backward_against_cpu(const std::vector<GuidedFilter> &problems) {
    constexpr int bits = 8 * sizeof(T);
    const Halide::Callable device = compile_filter("guided_filter_backward", bits, gpu),
                           cpu = compile_filter("guided_filter_backward", bits);
    for (const GuidedFilter &q : problems) {
        CAPTURE(describe(q), bits);
        const Maps in(q);
        const Gradients d = adjoint<T>(device, q, in, true), want = adjoint<T>(cpu, q, in);
        CHECK(worst_error(d.guide, want.guide) < close_to_loops(bits));
        CHECK(worst_error(d.input, want.input) < close_to_loops(bits));
    }
}

// A bad value of the gradient reaches no place that it does not reach on a CPU.
void check_spread() {
    const GuidedFilter q{1, 40, 50, 20, 25, 2, 1};
    Maps in(q);
    in.d_output[20 * q.W + 30] = INFINITY;
    const auto run = [&](const Build &build) {
        const Gradients d =
            adjoint<float>(compile_filter("guided_filter_backward", 32, build), q, in, build.on_device());
        Values all = d.guide;
        all.insert(all.end(), d.input.begin(), d.input.end());
        return all;
    };
    const Values device = run(gpu), cpu = run(Build());
    Values there, wanted;
    for (size_t i = 0; i < cpu.size(); i++) {
        if (std::isfinite(cpu[i])) {
            there.push_back(device[i]);
            wanted.push_back(cpu[i]);
        }
    }
    CHECK(there.size() > cpu.size() * 3 / 4);
    CHECK(there.size() < cpu.size());
    CHECK(worst_error(there, wanted) < close_to_loops(32));
}

// A map of N x groups x channels x H x W, and its group statistics and their gradient on a target.
struct Group {
    int N, groups, channels, H, W;
    double blur;

    size_t size() const { return size_t(N) * groups * channels * H * W; }
    std::string describe() const {
        std::string text = "N,groups,channels,H,W,blur = " + std::to_string(blur);
        for (const int number : {N, groups, channels, H, W}) {
            text += " " + std::to_string(number);
        }
        return text;
    }
};

// Less than a strip of rows and a tile, exactly one, more; fewer columns than are summed side by side.
const std::vector<Group> groups{
    {1, 1, 1, 1, 1, 0},    {1, 1, 1, 1, 1, 0.1},    {2, 3, 2, 5, 7, 0},   {2, 3, 2, 5, 7, 0.05},  {1, 2, 5, 1, 70, 0.1},
    {3, 1, 2, 90, 1, 0.2}, {1, 40, 1, 14, 30, 0.1}, {2, 2, 3, 33, 61, 0}, {2, 2, 3, 33, 61, 0.1},
};

// Mean and variance of each group, of plain loops.
Values expected_statistics(const Group &q, const Values &map) {
    const auto at = [&](size_t plane, int y, int x) {
        return map[(plane * q.H + std::clamp(y, 0, q.H - 1)) * q.W + std::clamp(x, 0, q.W - 1)];
    };
    const auto row = [&](size_t plane, int y, int x) {
        return q.blur * (at(plane, y, x - 1) + at(plane, y, x + 1)) + (1 - 2 * q.blur) * at(plane, y, x);
    };
    Values blurred, statistics;
    for (size_t i = 0; i < map.size(); i++) {
        const size_t plane = i / q.W / q.H;
        const int y = int(i / q.W % q.H), x = int(i % q.W);
        blurred.push_back(q.blur * (row(plane, y - 1, x) + row(plane, y + 1, x)) + (1 - 2 * q.blur) * row(plane, y, x));
    }
    const size_t count = q.size() / q.N / q.groups;
    for (auto group = blurred.begin(); group != blurred.end(); group += count) {
        const double mean = std::accumulate(group, group + count, 0.0) / count;
        const auto add = [&](double sum, double v) { return sum + (v - mean) * (v - mean); };
        statistics.insert(statistics.end(), {mean, std::accumulate(group, group + count, 0.0, add) / count});
    }
    return statistics;
}

template<class T> Values statistics(const Halide::Callable &kernel, const Group &q, const Values &map, bool on_device) {
    Memory<T> in(map, {q.W, q.H, q.groups * q.channels, q.N}), out = unwritten<T>({2, q.groups, q.N});
    Halide::Buffer<> result = out.buffer();
    kernel(given(in), T(q.blur), q.channels, result);
    take(result, on_device);
    require_guards(out.guards_hold());
    return out.values();
}

template<class T>
Values map_gradient(const Halide::Callable &kernel, const Group &q, const Values &map, bool on_device) {
    const int C = q.groups * q.channels;
    Memory<T> in(map, {q.W, q.H, C, q.N}), scale(random_values(C * q.N, 8), {C, q.N}),
        shift(random_values(C * q.N, 9), {C, q.N}), added(random_values(map.size(), 10), {q.W, q.H, C, q.N}),
        out(Values(map.size(), NAN), {q.W, q.H, C, q.N});
    Halide::Buffer<> result = out.buffer();
    kernel(given(in), T(q.blur), given(scale), given(shift), given(added), result);
    take(result, on_device);
    require_guards(out.guards_hold());
    return out.values();
}

template<class T> void check_groups() {
    constexpr int bits = 8 * sizeof(T);
    const Halide::Callable forward = compile_filter("group_stats", bits, gpu),
                           forward_cpu = compile_filter("group_stats", bits),
                           backward = compile_filter("group_stats_backward", bits, gpu),
                           backward_cpu = compile_filter("group_stats_backward", bits);
    for (const Group &q : groups) {
        CAPTURE(q.describe(), bits);
        const Values map = random_values(q.size(), 7), actual = statistics<T>(forward, q, map, true);
        CHECK(actual == statistics<T>(forward, q, map, true));
        CHECK(worst_error(actual, statistics<T>(forward_cpu, q, map, false)) < close_to_loops(bits));
        CHECK(worst_error(actual, expected_statistics(q, map)) < close_to_loops(bits));
        CHECK(worst_error(map_gradient<T>(backward, q, map, true), map_gradient<T>(backward_cpu, q, map, false)) <
              close_to_loops(bits));
    }
}

}  // namespace

TEST_CASE("the guided filter is the formula on a GPU", "[gpu][guided_filter]") {
    if (no_device()) {
        return;
    }
    check_filter<float>(small, gpu);
    check_filter<float>(large, gpu);
    check_filter<float>(many, gpu);
    check_filter<double>(small, gpu);
    check_filter<double>(large, gpu);
}

TEST_CASE("the adjoint of the guided filter is the CPU's and the formula's gradient on a GPU", "[gpu][guided_filter]") {
    if (no_device()) {
        return;
    }
    check_backward_against_cpu<float>(small);
    check_backward_against_cpu<float>(large);
    check_backward_against_cpu<float>(many);
    check_backward_against_cpu<double>(large);
    check_backward<double>(small, gpu);
}

TEST_CASE("a nan or an infinity stays where the formula keeps it on a GPU", "[gpu][guided_filter]") {
    if (no_device()) {
        return;
    }
    check_bad_values(gpu);
    check_bad_gradient(gpu);
    check_spread();
}

TEST_CASE("group statistics and their gradient are the loops' and the CPU's on a GPU", "[gpu][group_stats]") {
    if (no_device()) {
        return;
    }
    check_groups<float>();
    check_groups<double>();
}
