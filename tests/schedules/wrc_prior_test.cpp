// The prior of weighted reverse convolution and its data's weight, compiled in memory, against plain loops.
#include "support/guided_filter.h"
#include "support/opencl.h"

using namespace upwell;
using namespace upwell::test;

namespace {

struct Prior {
    int planes, h, w, scale;

    int H() const { return h * scale; }
    int W() const { return w * scale; }
    std::string describe() const {
        return "planes,h,w,scale = " + std::to_string(planes) + " " + std::to_string(h) + " " + std::to_string(w) +
               " " + std::to_string(scale);
    }
};

// One pixel, one pixel wide, less than a block of pixels, exactly one, more; less than a task of planes, more.
const std::vector<Prior> problems{{1, 1, 1, 1}, {1, 1, 1, 3},   {5, 1, 9, 2},   {1, 11, 1, 4}, {2, 16, 16, 1},
                                  {3, 5, 7, 2}, {1, 33, 18, 3}, {1, 9, 140, 1}, {6, 8, 37, 4}, {2, 3, 4, 33}};
const std::vector<Prior> many{{1030, 2, 3, 1}};  // more planes than a chunk of a GPU has

// The cells that a pixel reads, and their weights.
struct Read {
    int lower, upper;
    double fraction;
};
Read read(int pixel, int low, int high) {
    const int whole = std::max(high - 1, 1), place = pixel * (low - 1);
    return {place / whole, std::min(place / whole + 1, low - 1), double(place % whole) / whole};
}

// Visits the cells (index, weight) of a plane that a pixel reads.
template<class Visit> void each_cell(const Prior &q, int x, int y, const Visit &visit) {
    const Read column = read(x, q.w, q.W()), row = read(y, q.h, q.H());
    for (const bool lower : {false, true}) {
        for (const bool right : {false, true}) {
            visit((lower ? row.upper : row.lower) * q.w + (right ? column.upper : column.lower),
                  (lower ? row.fraction : 1 - row.fraction) * (right ? column.fraction : 1 - column.fraction));
        }
    }
}

struct PriorMaps {
    explicit PriorMaps(const Prior &q)
        : value(random_values(size_t(q.planes) * q.h * q.w, 1)), mixed(random_values(9 * value.size(), 2)),
          lam(random_values(q.planes, 3)), d_precision(random_values(size_t(q.planes) * q.H() * q.W(), 4)),
          d_weighted(random_values(d_precision.size(), 5)) {}

    Values value, mixed, lam, d_precision, d_weighted;
};

struct PriorAnswer {
    Values precision, weighted, d_value, d_mixed, d_lam;
};

PriorAnswer expected_prior(const Prior &q, const PriorMaps &in) {
    PriorAnswer out;
    out.d_value.resize(in.value.size());
    out.d_mixed.resize(in.mixed.size());
    out.d_lam.resize(in.lam.size());
    const size_t cells = size_t(q.h) * q.w;
    for (size_t i = 0; i < in.d_precision.size(); i++) {
        const int x = int(i % q.W()), y = int(i / q.W() % q.H());
        const size_t plane = i / q.W() / q.H();
        double z = 0, u = 0;
        each_cell(q, x, y, [&](int cell, double weight) { z += weight * in.value[plane * cells + cell]; });
        const auto each_tap = [&](const auto &visit) {
            for (int tap = 0; tap < 9; tap++) {
                const int column = x + tap % 3 - 1, row = y + tap / 3 - 1;
                if (column >= 0 && column < q.W() && row >= 0 && row < q.H()) {
                    each_cell(q, column, row,
                              [&](int cell, double weight) { visit((plane * 9 + tap) * cells + cell, weight); });
                }
            }
        };
        each_tap([&](size_t at, double weight) { u += weight * in.mixed[at]; });
        const double precision = std::log1p(u * u) + in.lam[plane];
        out.precision.push_back(precision);
        out.weighted.push_back(precision * z);

        const double v = in.d_precision[i] + in.d_weighted[i] * z, d_u = v * 2 * u / (1 + u * u);
        out.d_lam[plane] += v;
        each_cell(q, x, y, [&](int cell, double weight) {
            out.d_value[plane * cells + cell] += weight * in.d_weighted[i] * precision;
        });
        each_tap([&](size_t at, double weight) { out.d_mixed[at] += weight * d_u; });
    }
    return out;
}

// An axis as the kernels read it.
template<class T> struct PriorTable {
    PriorTable(int low, int high) : lower(high), fraction(high), first(low) {
        std::vector<std::vector<double>> weights(low);
        for (int p = 0; p < high; p++) {
            const Read r = read(p, low, high);
            lower(p) = r.lower;
            fraction(p) = T(r.fraction);
            add(weights, p, r.lower, 1 - r.fraction);
            if (r.fraction > 0) {
                add(weights, p, r.upper, r.fraction);
            }
        }
        size_t count = 1;
        for (const auto &list : weights) {
            count = std::max(count, list.size());
        }
        weight = Halide::Buffer<T>(int(count), low);
        weight.fill(T(0));
        for (int i = 0; i < low; i++) {
            for (size_t k = 0; k < weights[i].size(); k++) {
                weight(int(k), i) = T(weights[i][k]);
            }
        }
        for (Halide::Buffer<> buffer :
             {Halide::Buffer<>(lower), Halide::Buffer<>(fraction), Halide::Buffer<>(first), Halide::Buffer<>(weight)}) {
            buffer.set_host_dirty();
        }
    }

    void add(std::vector<std::vector<double>> &weights, int pixel, int cell, double share) {
        if (weights[cell].empty()) {
            first(cell) = pixel;
        }
        weights[cell].push_back(share);
    }

    Halide::Buffer<int> lower;
    Halide::Buffer<T> fraction;
    Halide::Buffer<int> first;
    Halide::Buffer<T> weight;
};

template<class T> PriorAnswer prior(const Prior &q, const PriorMaps &in, const Build &build) {
    constexpr int bits = 8 * sizeof(T);
    const Halide::Callable forward = compile_filter("wrc_prior", bits, build),
                           backward = compile_filter("wrc_prior_backward", bits, build);
    const std::vector<int> high{q.W(), q.H(), q.planes}, low{q.w, q.h, q.planes}, mixes{q.w, q.h, 9, q.planes};
    Memory<T> value(in.value, low), mixed(in.mixed, mixes), lam(in.lam, {q.planes}), d_precision(in.d_precision, high),
        d_weighted(in.d_weighted, high);
    const auto fresh = [](const Values &like, const std::vector<int> &sizes) {
        return Memory<T>(Values(like.size(), NAN), sizes);
    };
    Memory<T> precision = fresh(in.d_precision, high), weighted = fresh(in.d_precision, high),
              d_value = fresh(in.value, low), d_mixed = fresh(in.mixed, mixes), d_lam = fresh(in.lam, {q.planes});
    const PriorTable<T> columns(q.w, q.W()), rows(q.h, q.H());
    std::vector<Halide::Buffer<>> results;
    for (Memory<T> *memory : {&precision, &weighted, &d_value, &d_mixed, &d_lam}) {
        results.push_back(memory->buffer());
    }
    forward(given(value), given(mixed), given(lam), columns.lower, columns.fraction, rows.lower, rows.fraction,
            results[0], results[1]);
    backward(given(value), given(mixed), given(lam), given(d_precision), given(d_weighted), columns.lower,
             columns.fraction, rows.lower, rows.fraction, columns.first, columns.weight, rows.first, rows.weight,
             results[2], results[3], results[4]);
    for (const Halide::Buffer<> &result : results) {
        take(result, build.on_device());
    }
    for (const Memory<T> *memory : {&precision, &weighted, &d_value, &d_mixed, &d_lam}) {
        require_guards(memory->guards_hold());
    }
    return {precision.values(), weighted.values(), d_value.values(), d_mixed.values(), d_lam.values()};
}

template<class T> void check_prior(const std::vector<Prior> &list, const Build &build = {}) {
    for (const Prior &q : list) {
        CAPTURE(q.describe(), sizeof(T));
        const PriorMaps in(q);
        const PriorAnswer actual = prior<T>(q, in, build), want = expected_prior(q, in);
        const double close = sizeof(T) == 4 ? 1e-5 : 1e-9;
        CHECK(worst_error(actual.precision, want.precision) < close);
        CHECK(worst_error(actual.weighted, want.weighted) < close);
        CHECK(worst_error(actual.d_value, want.d_value) < close);
        CHECK(worst_error(actual.d_mixed, want.d_mixed) < close);
        CHECK(worst_error(actual.d_lam, want.d_lam) < close);
    }
}

template<class T> void check_data(const Build &build = {}) {
    constexpr int bits = 8 * sizeof(T);
    const Halide::Callable forward = compile_filter("wrc_data", bits, build),
                           backward = compile_filter("wrc_data_backward", bits, build);
    const double close = bits == 64 ? 1e-9 : 1e-6;  // in OpenCL Halide's constants are single precision
    for (const int size : {1, 7, 16, 1000, (1 << 14) + 3}) {
        CAPTURE(size, bits);
        const Values x = random_values(size, 1), d_weight = random_values(size, 3), d_weighted = random_values(size, 4);
        Values response = random_values(size, 2), want[4];
        for (int i = 0; i < size; i++) {
            response[i] = float(response[i] * std::pow(10, i % 40 - 20));  // tiny and huge
            const double r = response[i], weight = std::log1p(r * r);
            want[0].push_back(weight);
            want[1].push_back(weight * x[i]);
            want[2].push_back(d_weighted[i] * weight);
            want[3].push_back((d_weight[i] + d_weighted[i] * x[i]) * 2 * r / (1 + r * r));
        }
        std::vector<Memory<T>> in, out;
        for (const Values &values : {x, response, d_weight, d_weighted}) {
            in.push_back({values, {size}});
            out.push_back({Values(size, NAN), {size}});
        }
        std::vector<Halide::Buffer<>> results;
        for (Memory<T> &memory : out) {
            results.push_back(memory.buffer());
        }
        forward(given(in[0]), given(in[1]), results[0], results[1]);
        backward(given(in[0]), given(in[1]), given(in[2]), given(in[3]), results[2], results[3]);
        for (int i = 0; i < 4; i++) {
            take(results[i], build.on_device());
            require_guards(out[i].guards_hold());
            CHECK(worst_error(out[i].values(), want[i]) < close);
        }
        const Values weight = out[0].values();
        for (int i = 0; i < size; i++) {  // each by itself, unless float32 has no such number
            const bool fits = bits == 64 || (want[0][i] > 1e-37 && std::abs(response[i]) < 1e19);
            CHECK((!fits || std::abs(weight[i] - want[0][i]) < close * want[0][i]));
        }
    }
}

}  // namespace

TEST_CASE("the prior of WRC and its adjoint are the formula", "[wrc_prior]") {
    check_prior<float>(problems);
    check_prior<double>(problems);
}

TEST_CASE("the data of WRC and their adjoint are the formula", "[wrc_prior]") {
    check_data<float>();
    check_data<double>();
}

TEST_CASE("the prior and the data of WRC are right with the default schedule", "[wrc_prior]") {
    const Build plain{{{"default_schedule", "true"}}};
    check_prior<double>(problems, plain);
    check_data<double>(plain);
}

TEST_CASE("the prior and the data of WRC are right with narrower vectors", "[wrc_prior]") {
    const Halide::Target host = Halide::get_host_target();
    for (const char *name : {"x86-64-linux", "x86-64-linux-sse41-avx-f16c-fma-avx2"}) {
        const Halide::Target target(name);
        if (target.has_feature(Halide::Target::AVX2) && !host.has_feature(Halide::Target::AVX2)) {
            WARN("skipped: " << name << " does not run here");
            return;
        }
        check_prior<float>(problems, {{}, target});
        check_data<float>({{}, target});
    }
}

TEST_CASE("the prior of WRC gives the same bits on one thread and on two", "[wrc_prior]") {
    for (const Prior &q : {Prior{1, 40, 70, 3}, Prior{9, 12, 17, 2}}) {
        CAPTURE(q.describe());
        const auto all = [&](int threads) {
            Halide::Internal::JITSharedRuntime::set_num_threads(threads);
            const PriorAnswer a = prior<float>(q, PriorMaps(q), {});
            return std::vector<Values>{a.precision, a.weighted, a.d_value, a.d_mixed, a.d_lam};
        };
        CHECK((all(1) == all(2)));
    }
    Halide::Internal::JITSharedRuntime::set_num_threads(0);
}

TEST_CASE("the prior and the data of WRC are the formula on a GPU", "[gpu][wrc_prior]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    const Build gpu{{}, opencl()};
    check_prior<float>(problems, gpu);
    check_prior<float>(many, gpu);
    check_prior<double>(problems, gpu);
    check_data<float>(gpu);
    check_data<double>(gpu);
}
