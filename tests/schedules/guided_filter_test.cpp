// The guided filter and its adjoint, compiled in memory, against plain loops and their derivatives.
#include "support/guided_filter.h"

using namespace upwell;
using namespace upwell::test;

TEST_CASE("the guided filter is the formula", "[guided_filter]") {
    check_filter<float>(small);
    check_filter<float>(large);
    check_filter<double>(small);
    check_filter<double>(large);
}

TEST_CASE("the adjoint of the guided filter is its gradient at every pixel", "[guided_filter]") {
    check_backward<float>(small);
    check_backward<double>(small);
}

TEST_CASE("the adjoint of the guided filter is its gradient along random directions of large maps", "[guided_filter]") {
    const Halide::Callable kernel = compile_filter("guided_filter_backward", 64);
    for (const GuidedFilter &q : large) {
        CAPTURE(describe(q));
        const Maps in(q);
        const Gradients d = adjoint<double>(kernel, q, in);
        for (const unsigned seed : {4, 6}) {
            const Values to_guide = random_values(in.guide.size(), seed),
                         to_input = random_values(in.input.size(), seed + 1);
            const double want = slope(q, in, to_guide, to_input),
                         length = std::sqrt(dot(d.guide, d.guide) + dot(d.input, d.input));
            CHECK(std::abs(dot(d.guide, to_guide) + dot(d.input, to_input) - want) < 1e-7 * length);
        }
    }
}

TEST_CASE("the guided filter is right with the default schedule", "[guided_filter]") {
    const Build plain{{{"default_schedule", "true"}}};
    check_filter<float>(small, plain);
    check_backward<double>(small, plain);
}

TEST_CASE("the guided filter is right with narrower vectors", "[guided_filter]") {
    const Halide::Target host = Halide::get_host_target();
    for (const char *name : {"x86-64-linux", "x86-64-linux-sse41-avx-f16c-fma-avx2"}) {
        const Halide::Target target(name);
        if (target.has_feature(Halide::Target::AVX2) && !host.has_feature(Halide::Target::AVX2)) {
            WARN("skipped: " << name << " does not run here");
            return;
        }
        check_filter<float>(large, {{}, target});
        check_backward<double>(small, {{}, target});
    }
}

TEST_CASE("the guided filter gives the same bits on one thread and on two", "[guided_filter]") {
    const Halide::Callable forward = compile_filter("guided_filter", 32);
    const Halide::Callable backward = compile_filter("guided_filter_backward", 32);
    const auto all = [&](const GuidedFilter &q, int threads) {
        Halide::Internal::JITSharedRuntime::set_num_threads(threads);
        const Maps in(q);
        const Gradients d = adjoint<float>(backward, q, in);
        return std::vector<Values>{filter<float>(forward, q, in), d.guide, d.input};
    };
    for (const GuidedFilter &q : large) {
        CAPTURE(describe(q));
        CHECK((all(q, 1) == all(q, 2)));
    }
    Halide::Internal::JITSharedRuntime::set_num_threads(0);
}

TEST_CASE("a mean far from zero costs the guided filter no digits", "[guided_filter]") {
    const Halide::Callable forward = compile_filter("guided_filter", 32);
    const Halide::Callable backward = compile_filter("guided_filter_backward", 32);
    for (GuidedFilter q : large) {
        CAPTURE(describe(q));
        Maps in(q), shifted = in;
        for (double &value : shifted.guide) {
            value = std::round(value * 1024) / 1024;  // exact as single precision also when shifted
        }
        in.guide = shifted.guide;
        std::for_each(shifted.guide.begin(), shifted.guide.end(), [](double &value) { value += 1000; });
        CHECK(worst_error(filter<float>(forward, q, shifted), reference::filter(q, in.guide, in.input)) < 1e-5);
        const Gradients d = adjoint<float>(backward, q, shifted), want = adjoint<float>(backward, q, in);
        CHECK(worst_error(d.guide, want.guide) < 1e-5);
        CHECK(worst_error(d.input, want.input) < 1e-5);
    }
}

TEST_CASE("a nan or an infinity reaches no pixel that the formula keeps it from", "[guided_filter]") {
    check_bad_values(Build());
}

TEST_CASE("a nan in the gradient stays near its pixel", "[guided_filter]") {
    check_bad_gradient(Build());
}
