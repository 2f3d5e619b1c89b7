// Samples at learned offsets and their gradients, compiled in memory, against plain loops.
#include "support/guided_filter.h"
#include "support/opencl.h"

using namespace upwell;
using namespace upwell::test;

namespace {

struct Sampling {
    int N, G, C, h, w, scale;  // C: of a group
    double reach = 1.5;        // of offsets, in cells
    bool high_res = false;     // the layout of the offsets

    int H() const { return h * scale; }
    int W() const { return w * scale; }
    int cells() const { return h * w; }
    int pixels() const { return H() * W(); }
    int place(int x, int y) const { return column_part(x) + row_part(y); }
    int column_part(int x) const { return high_res ? x : x % scale * cells() + x / scale; }
    int row_part(int y) const { return high_res ? y * W() : y % scale * scale * cells() + y / scale * w; }
    std::string describe() const {
        std::string text = "N,G,C,h,w,scale =";
        for (const int number : {N, G, C, h, w, scale}) {
            text += " " + std::to_string(number);
        }
        return text + (high_res ? " high-res offsets" : "");
    }
};

// One cell, one cell wide, fewer channels than a vector, as many, more; more pixels than a block has and more rows than
// a task; offsets far beyond the map.
const std::vector<Sampling> problems{{1, 1, 1, 1, 1, 1},  {2, 1, 3, 1, 1, 3},        {1, 2, 2, 1, 9, 2},
                                     {1, 3, 1, 11, 1, 4}, {2, 4, 4, 5, 7, 2},        {1, 2, 5, 4, 6, 3, 1.5, true},
                                     {1, 1, 16, 6, 6, 1}, {1, 1, 37, 5, 18, 4},      {1, 2, 33, 3, 5, 2, 30, true},
                                     {3, 1, 2, 13, 3, 2}, {1, 1, 2, 9, 40, 2, 1e30}, {2, 2, 8, 2, 3, 5, 0}};

struct SamplingMaps {
    explicit SamplingMaps(const Sampling &q)
        : value(random_values(size_t(q.N) * q.G * q.C * q.cells(), 1)),
          offsets(random_values(size_t(q.N) * 2 * q.G * q.pixels(), 2)),
          d_output(random_values(size_t(q.N) * q.G * q.C * q.pixels(), 3)) {
        for (double &offset : offsets) {
            offset = float(offset * q.reach);
        }
    }

    Values value, offsets, d_output;
};

struct SamplingAnswer {
    Values output, d_value, d_offsets;  // of pixels, whatever the layout of the offsets
};

// Where a pixel reads along an axis.
struct Place {
    Place(int pixel, int scale, double offset, int cells) {
        const double sought = pixel / scale + offset, last = cells - 1;
        const double position = std::clamp(sought, 0.0, last);
        lower = int(std::floor(position));
        upper = std::min(lower + 1, cells - 1);
        fraction = position - lower;
        is_free = sought > 0 && sought < last;
    }
    int lower, upper;
    double fraction;
    bool is_free;
};

SamplingAnswer expected_samples(const Sampling &q, const SamplingMaps &in) {
    SamplingAnswer out{Values(in.d_output.size()), Values(in.value.size()), Values(in.offsets.size())};
    for (int group = 0; group < q.N * q.G; group++) {
        const auto plane = [&](int axis) { return size_t((group / q.G * 2 + axis) * q.G + group % q.G) * q.pixels(); };
        for (int y = 0; y < q.H(); y++) {
            for (int x = 0; x < q.W(); x++) {
                const Place u(x, q.scale, in.offsets[plane(0) + q.place(x, y)], q.w),
                    v(y, q.scale, in.offsets[plane(1) + q.place(x, y)], q.h);
                for (int channel = 0; channel < q.C; channel++) {
                    const size_t map = size_t(group) * q.C + channel, at = map * q.pixels() + y * q.W() + x;
                    const auto cell = [&](int row, int column) { return map * q.cells() + row * q.w + column; };
                    const size_t corners[]{cell(v.lower, u.lower), cell(v.lower, u.upper), cell(v.upper, u.lower),
                                           cell(v.upper, u.upper)};
                    const double a = u.fraction, b = v.fraction, d = in.d_output[at];
                    const double weights[]{(1 - b) * (1 - a), (1 - b) * a, b * (1 - a), b * a};
                    for (int k = 0; k < 4; k++) {
                        out.output[at] += weights[k] * in.value[corners[k]];
                        out.d_value[corners[k]] += weights[k] * d;
                    }
                    const auto at_corner = [&](int k) { return in.value[corners[k]]; };
                    const size_t pixel = y * q.W() + x;
                    if (u.is_free) {
                        out.d_offsets[plane(0) + pixel] +=
                            d * ((1 - b) * (at_corner(1) - at_corner(0)) + b * (at_corner(3) - at_corner(2)));
                    }
                    if (v.is_free) {
                        out.d_offsets[plane(1) + pixel] +=
                            d * ((1 - a) * (at_corner(2) - at_corner(0)) + a * (at_corner(3) - at_corner(1)));
                    }
                }
            }
        }
    }
    return out;
}

Halide::Buffer<int> pixel_table(int pixels, int scale, const std::function<int(int)> &part) {
    Halide::Buffer<int> table(pixels, 2);
    for (int p = 0; p < pixels; p++) {
        table(p, 0) = p / scale;
        table(p, 1) = part(p);
    }
    table.set_host_dirty();
    return table;
}

template<class T> SamplingAnswer sampled(const Sampling &q, const SamplingMaps &in, const Build &build) {
    constexpr int bits = 8 * sizeof(T);
    const std::vector<int> low{q.cells(), q.C, q.G, q.N}, high{q.W(), q.H(), q.C, q.G, q.N},
        places{q.pixels(), q.G, 2, q.N}, axes{q.W(), q.H(), q.G, 2, q.N};
    Memory<T> value(in.value, low), offsets(in.offsets, places), d_output(in.d_output, high);
    const auto fresh = [](const Values &like, const std::vector<int> &sizes) {
        return Memory<T>(Values(like.size(), NAN), sizes);
    };
    Memory<T> output = fresh(in.d_output, high), d_value = fresh(in.value, low), d_offsets = fresh(in.offsets, axes);
    const Halide::Buffer<int> columns = pixel_table(q.W(), q.scale, [&](int x) { return q.column_part(x); }),
                              rows = pixel_table(q.H(), q.scale, [&](int y) { return q.row_part(y); });
    std::vector<Halide::Buffer<>> results{output.buffer(), d_value.buffer(), d_offsets.buffer()};
    compile_filter("sample_at_offsets", bits, build)(given(value), given(offsets), columns, rows, q.w, q.h, results[0]);
    compile_filter("sample_at_offsets_d_value", bits, build)(given(d_output), given(offsets), columns, rows, q.w, q.h,
                                                             results[1]);
    compile_filter("sample_at_offsets_d_offsets", bits, build)(given(d_output), given(value), given(offsets), columns,
                                                               rows, q.w, q.h, results[2]);
    for (const Halide::Buffer<> &result : results) {
        take(result, build.on_device());
    }
    for (const Memory<T> *memory : {&output, &d_value, &d_offsets}) {
        require_guards(memory->guards_hold());
    }
    return {output.values(), d_value.values(), d_offsets.values()};
}

template<class T> void check_samples(const std::vector<Sampling> &list, const Build &build = {}) {
    for (const Sampling &q : list) {
        CAPTURE(q.describe(), sizeof(T));
        const SamplingMaps in(q);
        const SamplingAnswer actual = sampled<T>(q, in, build), want = expected_samples(q, in);
        const double close = sizeof(T) == 4 ? 1e-5 : 1e-12;
        CHECK(worst_error(actual.output, want.output) < close);
        CHECK(worst_error(actual.d_value, want.d_value) < close);
        CHECK(worst_error(actual.d_offsets, want.d_offsets) < close);
    }
}

// Offsets that are no numbers read inside the map: guards of nan are around it.
template<class T> void check_odd_offsets(const Build &build = {}) {
    const Sampling q{1, 1, 20, 5, 6, 3};
    const SamplingMaps clean(q);
    const SamplingAnswer want = sampled<T>(q, clean, build);
    for (const double odd : {double(NAN), -double(NAN), double(INFINITY), -double(INFINITY)}) {
        CAPTURE(odd, sizeof(T));
        SamplingMaps in = clean;
        const int x = 7, y = 8;
        in.offsets[q.place(x, y)] = odd;
        const SamplingAnswer actual = sampled<T>(q, in, build);
        SamplingMaps border = clean;
        border.offsets[q.place(x, y)] = odd > 0 ? 100 : -100;
        const SamplingAnswer clamped = std::isnan(odd) ? want : sampled<T>(q, border, build);
        for (size_t i = 0; i < want.output.size(); i++) {
            const bool is_odd = std::isnan(odd) && i % q.pixels() == size_t(y * q.W() + x);
            REQUIRE((is_odd ? std::isnan(actual.output[i]) : actual.output[i] == clamped.output[i]));
        }
        if (!std::isnan(odd)) {
            CHECK(actual.d_value == clamped.d_value);
            CHECK(actual.d_offsets == clamped.d_offsets);
        }
    }
}

}  // namespace

TEST_CASE("samples at offsets and their gradients are the formula", "[sample_at_offsets]") {
    check_samples<float>(problems);
    check_samples<double>(problems);
}

TEST_CASE("offsets that are no numbers read inside the map", "[sample_at_offsets]") {
    check_odd_offsets<float>();
    check_odd_offsets<double>();
}

TEST_CASE("samples at offsets are right with the default schedule", "[sample_at_offsets]") {
    check_samples<double>(problems, {{{"default_schedule", "true"}}});
}

TEST_CASE("samples at offsets are right with narrower vectors", "[sample_at_offsets]") {
    const Halide::Target host = Halide::get_host_target();
    for (const char *name : {"x86-64-linux", "x86-64-linux-sse41-avx-f16c-fma-avx2"}) {
        const Halide::Target target(name);
        if (target.has_feature(Halide::Target::AVX2) && !host.has_feature(Halide::Target::AVX2)) {
            WARN("skipped: " << name << " does not run here");
            return;
        }
        check_samples<float>(problems, {{}, target});
    }
}

TEST_CASE("samples at offsets give the same bits on one thread and on two", "[sample_at_offsets]") {
    for (const Sampling &q : {Sampling{1, 1, 40, 9, 30, 3}, Sampling{3, 2, 5, 12, 7, 2}}) {
        CAPTURE(q.describe());
        const auto all = [&](int threads) {
            Halide::Internal::JITSharedRuntime::set_num_threads(threads);
            const SamplingAnswer a = sampled<float>(q, SamplingMaps(q), {});
            return std::vector<Values>{a.output, a.d_value, a.d_offsets};
        };
        CHECK((all(1) == all(2)));
    }
    Halide::Internal::JITSharedRuntime::set_num_threads(0);
}

TEST_CASE("samples at offsets and their gradients are the formula on a GPU", "[gpu][sample_at_offsets]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    const Build gpu{{}, opencl()};
    check_samples<float>(problems, gpu);
    check_samples<double>(problems, gpu);
    check_odd_offsets<float>(gpu);
}
