// Whole calls of the guided filter's kernels, on a CPU or a device, and what they are held against.
#pragma once

#include <functional>
#include <map>
#include <numeric>
#include <random>

#include "reference/guided_filter.h"
#include "support/catch.h"
#include "support/generator.h"

namespace upwell::test {

using reference::GuidedFilter;
using Values = std::vector<double>;

// One pixel, one pixel wide, odd, not square, fewer planes than a task has and more; wider than a tile of columns, more
// rows than a band and than a task of bands; no box, boxes beyond the image, samples further apart than the image.
inline const std::vector<GuidedFilter> small{
    {1, 1, 1, 1, 1, 0, 1},   {1, 1, 1, 1, 1, 3, 2},        {2, 7, 1, 3, 1, 1, 1},       {3, 1, 9, 1, 4, 2, 2},
    {5, 9, 8, 5, 4, 2, 2},   {1, 5, 6, 5, 6, 0, 1},        {2, 7, 9, 3, 4, 50, 2},      {1, 6, 5, 3, 3, 1, 9},
    {1, 8, 11, 8, 11, 1, 1}, {1, 9, 11, 5, 3, 1, 3, true}, {1, 6, 9, 2, 9, 1, 2, true}, {1, 9, 10, 2, 3, 2, 4},
};
inline const std::vector<GuidedFilter> large{
    {1, 40, 150, 11, 31, 3, 1}, {7, 141, 37, 20, 9, 8, 2, true}, {1, 300, 20, 75, 5, 4, 1},
    {17, 13, 18, 5, 6, 2, 2},   {1, 23, 410, 6, 103, 70, 3},
};

inline std::string describe(const GuidedFilter &q) {
    std::string text = "planes,H,W,h,w,radius,scale =";
    for (const int number : {q.planes, q.H, q.W, q.h, q.w, q.radius, q.scale}) {
        text += " " + std::to_string(number);
    }
    return text + (q.centred ? " centred" : "");
}

inline Values random_values(size_t size, unsigned seed) {
    std::mt19937 bits(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);  // single precision, so that every type sees the same values
    Values values(size);
    std::generate(values.begin(), values.end(), [&] { return uniform(bits); });
    return values;
}

struct Maps {
    explicit Maps(const GuidedFilter &q)
        : guide(random_values(q.planes * q.H * q.W, 1)), input(random_values(q.planes * q.h * q.w, 2)),
          d_output(random_values(q.planes * q.H * q.W, 3)) {}

    Values guide, input, d_output;
};

struct Build {
    Halide::GeneratorParamsMap parameters = {};
    Halide::Target target = Halide::get_host_target();

    bool on_device() const { return target.has_gpu_feature(); }
};

// Compiled once.
inline Halide::Callable compile_filter(const std::string &name, int bits, const Build &build = {}) {
    static Strict strict;
    static std::map<std::string, Halide::Callable> kernels;
    Halide::set_custom_compile_time_error_reporter(&strict);
    Halide::GeneratorParamsMap parameters{{"type", "float" + std::to_string(bits)}};
    parameters.insert(build.parameters.begin(), build.parameters.end());
    std::string id = name + " " + build.target.to_string();
    for (const auto &[parameter, value] : parameters) {
        id += " " + parameter + "=" + value;
    }
    if (kernels.count(id) == 0) {
        kernels[id] = Halide::create_callable_from_generator(build.target, name, parameters);
    }
    return kernels[id];
}

// The cells that places of an axis read, as the kernel reads them.
template<class T> struct Table {
    Table(int size, const std::function<reference::Between(int)> &position) : lower(size), fraction(size) {
        for (int p = 0; p < size; p++) {
            lower(p) = position(p).lower;
            fraction(p) = T(position(p).fraction);
        }
        lower.set_host_dirty();
        fraction.set_host_dirty();
    }
    Halide::Buffer<int> lower;
    Halide::Buffer<T> fraction;
};

template<class T> struct Tables {
    explicit Tables(const GuidedFilter &q)
        : key_columns(q.sample_columns(), [&](int x) { return reference::half_pixel(x * q.scale, q.w, q.W); }),
          key_rows(q.sample_rows(), [&](int y) { return reference::half_pixel(y * q.scale, q.h, q.H); }),
          columns(q.W, [&](int x) { return reference::sample_of_pixel(q, x, q.sample_columns(), q.W); }),
          rows(q.H, [&](int y) { return reference::sample_of_pixel(q, y, q.sample_rows(), q.H); }) {}

    Table<T> key_columns, key_rows, columns, rows;
};

template<class T> Memory<T> unwritten(const std::vector<int> &sizes) {
    return {Values(size_t(sizes[0]) * sizes[1] * sizes[2], NAN), sizes};
}

inline void require_guards(bool hold) {
    if (!hold) {
        throw std::logic_error("written outside an output");
    }
}

// A device sees what the host wrote.
template<class T> Halide::Buffer<> given(Memory<T> &memory) {
    Halide::Buffer<> buffer = memory.buffer();
    buffer.set_host_dirty();
    return buffer;
}

// on_device: where the output has to be made.
inline void take(Halide::Buffer<> output, bool on_device) {
    if (output.device_dirty() != on_device) {
        throw std::logic_error("not made where it should be");
    }
    output.copy_to_host();
}

template<class T>
Values filter(const Halide::Callable &kernel, const GuidedFilter &q, const Maps &in, bool on_device = false) {
    const std::vector<int> high{q.W, q.H, q.planes}, low{q.w, q.h, q.planes};
    Memory<T> guide(in.guide, high), input(in.input, low), output = unwritten<T>(high);
    const Tables<T> t(q);
    Halide::Buffer<> result = output.buffer();
    kernel(given(guide), given(input), t.key_columns.lower, t.key_columns.fraction, t.key_rows.lower,
           t.key_rows.fraction, t.columns.lower, t.columns.fraction, t.rows.lower, t.rows.fraction, q.radius, q.scale,
           T(q.eps), result);
    take(result, on_device);
    require_guards(output.guards_hold());
    return output.values();
}

struct Gradients {
    Values guide, input;
};

template<class T>
Gradients adjoint(const Halide::Callable &kernel, const GuidedFilter &q, const Maps &in, bool on_device = false) {
    const std::vector<int> high{q.W, q.H, q.planes}, low{q.w, q.h, q.planes};
    Memory<T> guide(in.guide, high), input(in.input, low), d_output(in.d_output, high), d_guide = unwritten<T>(high),
                                                                                        d_input = unwritten<T>(low);
    const Tables<T> t(q);
    std::array<Halide::Buffer<>, 2> results{d_guide.buffer(), d_input.buffer()};
    kernel(given(guide), given(input), given(d_output), t.key_columns.lower, t.key_columns.fraction, t.key_rows.lower,
           t.key_rows.fraction, t.columns.lower, t.columns.fraction, t.rows.lower, t.rows.fraction, q.radius, q.scale,
           T(q.eps), results[0], results[1]);
    for (const Halide::Buffer<> &result : results) {
        take(result, on_device);
    }
    require_guards(d_guide.guards_hold() && d_input.guards_hold());
    return {d_guide.values(), d_input.values()};
}

inline double dot(const Values &a, const Values &b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// d <output, d_output> / d(step along a direction), by central differences of the loops.
inline double slope(const GuidedFilter &q, const Maps &in, const Values &to_guide, const Values &to_input) {
    constexpr double step = 1e-5;
    const auto value = [&](double t) {
        Maps moved = in;
        for (size_t i = 0; i < to_guide.size(); i++) {
            moved.guide[i] += t * to_guide[i];
        }
        for (size_t i = 0; i < to_input.size(); i++) {
            moved.input[i] += t * to_input[i];
        }
        return dot(reference::filter(q, moved.guide, moved.input), in.d_output);
    };
    return (value(step) - value(-step)) / (2 * step);
}

inline Gradients expected_gradients(const GuidedFilter &q, const Maps &in) {
    Gradients d{in.guide, in.input};
    Values to_guide(in.guide.size()), to_input(in.input.size());
    for (size_t i = 0; i < to_guide.size(); i++) {
        to_guide[i] = 1;
        d.guide[i] = slope(q, in, to_guide, to_input);
        to_guide[i] = 0;
    }
    for (size_t i = 0; i < to_input.size(); i++) {
        to_input[i] = 1;
        d.input[i] = slope(q, in, to_guide, to_input);
        to_input[i] = 0;
    }
    return d;
}

inline double close_to_loops(int bits) {
    return bits == 32 ? 1e-5 : 1e-12;
}

inline double close_to_differences(int bits) {
    return bits == 32 ? 2e-5 : 1e-7;
}

template<class T> void check_filter(const std::vector<GuidedFilter> &problems, const Build &build = {}) {
    constexpr int bits = 8 * sizeof(T);
    const Halide::Callable kernel = compile_filter("guided_filter", bits, build);
    for (const GuidedFilter &q : problems) {
        CAPTURE(describe(q), bits);
        const Maps in(q);
        const Values actual = filter<T>(kernel, q, in, build.on_device());
        CHECK(worst_error(actual, reference::filter(q, in.guide, in.input)) < close_to_loops(bits));
    }
}

template<class T> void check_backward(const std::vector<GuidedFilter> &problems, const Build &build = {}) {
    constexpr int bits = 8 * sizeof(T);
    const Halide::Callable kernel = compile_filter("guided_filter_backward", bits, build);
    for (const GuidedFilter &q : problems) {
        CAPTURE(describe(q), bits);
        const Maps in(q);
        const Gradients d = adjoint<T>(kernel, q, in, build.on_device()), want = expected_gradients(q, in);
        CHECK(worst_error(d.guide, want.guide) < close_to_differences(bits));
        CHECK(worst_error(d.input, want.input) < close_to_differences(bits));
    }
}

// A nan or an infinity reaches no pixel that the formula keeps it from.
inline void check_bad_values(const Build &build) {
    const Halide::Callable forward = compile_filter("guided_filter", 32, build);
    const GuidedFilter q{2, 60, 70, 30, 35, 2, 2};
    const Maps clean(q);
    const Values expected = reference::filter(q, clean.guide, clean.input);
    const auto check = [&](double bad, bool in_guide, int y, int x) {
        CAPTURE(bad, in_guide, y, x);
        Maps in = clean;
        (in_guide ? in.guide[y * q.W + x] : in.input[y / 2 * q.w + x / 2]) = bad;
        const Values actual = filter<float>(forward, q, in, build.on_device());
        CHECK(std::isnan(actual[y * q.W + x]));
        const Values spoilt = reference::filter(q, in.guide, in.input);
        Values there, wanted;
        for (size_t i = 0; i < actual.size(); i++) {
            if (std::isfinite(spoilt[i])) {
                there.push_back(actual[i]);
                wanted.push_back(expected[i]);
            }
        }
        CHECK(there.size() > expected.size() * 3 / 4);
        CHECK(worst_error(there, wanted) < close_to_loops(32));
    };
    for (const double bad : {NAN, INFINITY}) {
        for (const bool in_guide : {true, false}) {
            check(bad, in_guide, 20, 40);
            check(bad, in_guide, 0, 0);
        }
    }
}

// A nan in the gradient stays near its pixel.
inline void check_bad_gradient(const Build &build) {
    const Halide::Callable backward = compile_filter("guided_filter_backward", 32, build);
    const GuidedFilter q{1, 60, 70, 60, 70, 2, 2};
    Maps in(q);
    const Gradients want = adjoint<float>(backward, q, in, build.on_device());
    in.d_output[20 * q.W + 40] = NAN;
    const Gradients d = adjoint<float>(backward, q, in, build.on_device());
    const int reach = (2 * q.radius + 2) * q.scale;  // two boxes and an interpolation
    for (int y = 0; y < q.H; y++) {
        for (int x = 0; x < q.W; x++) {
            if (std::max(std::abs(y - 20), std::abs(x - 40)) > reach) {
                REQUIRE(d.guide[y * q.W + x] == want.guide[y * q.W + x]);
                REQUIRE(d.input[y * q.W + x] == want.input[y * q.W + x]);
            }
        }
    }
    CHECK(std::isnan(d.guide[20 * q.W + 40]));
}

}  // namespace upwell::test
