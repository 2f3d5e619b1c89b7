// The transposed convolution, its gradients and the merged kernel, compiled in memory for a CPU and, where there is
// OpenCL, for a GPU, against plain loops.
#include <functional>
#include <map>

#include "support/catch.h"
#include "support/generator.h"
#include "support/opencl.h"

using namespace upwell::test;

namespace {

using Values = std::vector<double>;

// Sizes of both axes: of the input, of the kernel, the stride and the padding. The output is as large as whole blocks.
struct Axis {
    int low, kernel, stride, padding, blocks;

    int first() const { return -floor_div(kernel - 1 - padding); }
    int taps() const { return floor_div(stride - 1 + padding) - first() + 1; }
    int element(int tap, int phase) const {
        const int k = phase + padding - stride * (tap + first());
        return k >= 0 && k < kernel ? k : -1;
    }

private:
    int floor_div(int a) const { return (a - (a % stride + stride) % stride) / stride; }
};

struct Problem {
    int N, G, A, B;
    Axis x, y;

    std::string describe() const {
        std::string text = "N,G,A,B, then low,kernel,stride,padding,blocks of x and y =";
        for (const int number : {N, G, A, B, x.low, x.kernel, x.stride, x.padding, x.blocks, y.low, y.kernel, y.stride,
                                 y.padding, y.blocks}) {
            text += " " + std::to_string(number);
        }
        return text;
    }
    std::vector<int> low() const { return {x.low, y.low, A, G, N}; }
    std::vector<int> high() const { return {x.stride, x.blocks, y.stride, y.blocks, B, G, N}; }
    std::vector<int> weight() const { return {x.kernel, y.kernel, B, A, G}; }
};

// One pixel; fewer and more columns and rows than a vector, a tile of registers, a strip of sums and a block of a GPU.
const std::vector<Problem> by_two{
    {1, 1, 1, 1, {1, 3, 2, 1, 1}, {1, 7, 2, 3, 1}},      {2, 3, 1, 1, {9, 7, 2, 3, 9}, {5, 7, 2, 3, 5}},
    {1, 2, 2, 3, {33, 11, 2, 5, 33}, {34, 3, 2, 1, 34}}, {1, 1, 3, 2, {3, 4, 2, 0, 5}, {70, 2, 2, 4, 68}},
    {3, 2, 1, 2, {17, 1, 2, 0, 17}, {8, 5, 2, 2, 9}},
};
const std::vector<Problem> any{
    {1, 1, 1, 1, {1, 3, 1, 1, 1}, {1, 2, 5, 0, 1}},
    {2, 2, 2, 3, {9, 7, 3, 3, 9}, {5, 4, 2, 1, 6}},
    {1, 3, 1, 1, {40, 5, 4, 2, 40}, {3, 7, 1, 6, 1}},
    {1, 1, 2, 1, {7, 2, 3, 0, 8}, {35, 3, 3, 4, 33}},
};

Values random_values(const std::vector<int> &sizes, unsigned seed) {
    std::mt19937 bits(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    Values values(std::accumulate(sizes.begin(), sizes.end(), size_t(1), std::multiplies<size_t>()));
    std::generate(values.begin(), values.end(), [&] { return uniform(bits); });
    return values;
}

struct Maps {
    explicit Maps(const Problem &q)
        : input(random_values(q.low(), 1)), weight(random_values(q.weight(), 2)), bias(random_values({q.B, q.G}, 3)),
          d_output(random_values(q.high(), 4)) {}

    Values input, weight, bias, d_output;
};

struct Results {
    Values output, d_input, d_weight;
};

// Every pair of an input pixel and an element of the kernel, at the pixel of the output where they meet.
Results loops(const Problem &q, const Maps &in) {
    Results r{Values(in.d_output.size()), Values(in.input.size()), Values(in.weight.size())};
    const int W = q.x.blocks * q.x.stride, H = q.y.blocks * q.y.stride;
    for (int n = 0; n < q.N; n++) {
        for (int g = 0; g < q.G; g++) {
            for (int b = 0; b < q.B; b++) {
                const size_t plane = (size_t(n) * q.G + g) * q.B + b;
                std::fill_n(r.output.begin() + plane * H * W, H * W, in.bias[g * q.B + b]);
                for (int a = 0; a < q.A; a++) {
                    for (int i = 0; i < q.y.low * q.x.low; i++) {
                        const size_t at = ((size_t(n) * q.G + g) * q.A + a) * q.y.low * q.x.low + i;
                        for (int k = 0; k < q.y.kernel * q.x.kernel; k++) {
                            const size_t element = ((size_t(g) * q.A + a) * q.B + b) * q.y.kernel * q.x.kernel + k;
                            const int row = i / q.x.low * q.y.stride + k / q.x.kernel - q.y.padding,
                                      column = i % q.x.low * q.x.stride + k % q.x.kernel - q.x.padding;
                            if (row < 0 || row >= H || column < 0 || column >= W) {
                                continue;
                            }
                            const size_t to = (plane * H + row) * W + column;
                            r.output[to] += in.input[at] * in.weight[element];
                            r.d_input[at] += in.d_output[to] * in.weight[element];
                            r.d_weight[element] += in.d_output[to] * in.input[at];
                        }
                    }
                }
            }
        }
    }
    return r;
}

struct Build {
    Halide::GeneratorParamsMap parameters = {};
    Halide::Target target = Halide::get_host_target();
};

Halide::Callable compile(const std::string &name, int bits, const Build &build) {
    static Strict strict;
    Halide::set_custom_compile_time_error_reporter(&strict);
    Halide::GeneratorParamsMap parameters{{"type", "float" + std::to_string(bits)}};
    parameters.insert(build.parameters.begin(), build.parameters.end());
    return Halide::create_callable_from_generator(build.target, name, parameters);
}

Halide::Buffer<int> elements(const Axis &axis) {
    Halide::Buffer<int> table(axis.taps(), axis.stride);
    table.for_each_element([&](int tap, int phase) { table(tap, phase) = axis.element(tap, phase); });
    table.set_host_dirty();
    return table;
}

Halide::Buffer<int> places(const Axis &axis) {
    Halide::Buffer<int> table(axis.kernel, 2);
    for (int phase = 0; phase < axis.stride; phase++) {
        for (int tap = 0; tap < axis.taps(); tap++) {
            if (const int k = axis.element(tap, phase); k >= 0) {
                table(k, 0) = tap;
                table(k, 1) = phase;
            }
        }
    }
    table.set_host_dirty();
    return table;
}

// run: with the output's buffer.
template<class T> Values result(const std::vector<int> &sizes, const std::function<void(Halide::Buffer<>)> &run) {
    Memory<T> memory(Values(random_values(sizes, 0).size(), NAN), sizes);
    Halide::Buffer<> buffer = memory.buffer();
    run(buffer);
    buffer.copy_to_host();
    if (!memory.guards_hold()) {
        throw std::logic_error("written outside an output");
    }
    return memory.values();
}

template<class T> Halide::Buffer<> given(Memory<T> &memory) {
    Halide::Buffer<> buffer = memory.buffer();
    buffer.set_host_dirty();
    return buffer;
}

struct Kernels {
    Halide::Callable forward, d_input, d_weight;

    Kernels(const std::string &suffix, int bits, const Build &build)
        : forward(compile("transposed_conv" + suffix, bits, build)),
          d_input(compile("transposed_conv_d_input" + suffix, bits, build)),
          d_weight(compile("transposed_conv_d_weight" + suffix, bits, build)) {}
};

template<class T> Results run(const Kernels &kernels, const Problem &q, const Maps &in) {
    Memory<T> input(in.input, q.low()), weight(in.weight, q.weight()), bias(in.bias, {q.B, q.G}),
        d_output(in.d_output, q.high());
    const Halide::Buffer<int> columns = elements(q.x), rows = elements(q.y), places_x = places(q.x),
                              places_y = places(q.y);
    const int x = q.x.first(), y = q.y.first();
    return {result<T>(q.high(),
                      [&](Halide::Buffer<> output) {
                          kernels.forward(given(input), given(weight), given(bias), columns, rows, x, y, output);
                      }),
            result<T>(q.low(),
                      [&](Halide::Buffer<> d_input) {
                          kernels.d_input(given(d_output), given(weight), columns, rows, x, y, d_input);
                      }),
            result<T>(q.weight(), [&](Halide::Buffer<> d_weight) {
                kernels.d_weight(given(input), given(d_output), columns, rows, x, y, places_x, places_y, d_weight);
            })};
}

template<class T> void check(const std::string &suffix, const std::vector<Problem> &problems, const Build &build = {}) {
    constexpr int bits = 8 * sizeof(T);
    constexpr double close = bits == 32 ? 1e-5 : 1e-12;
    const Kernels kernels(suffix, bits, build);
    for (const Problem &q : problems) {
        CAPTURE(q.describe(), bits, suffix);
        const Maps in(q);
        const Results actual = run<T>(kernels, q, in), expected = loops(q, in);
        CHECK(worst_error(actual.output, expected.output) < close);
        CHECK(worst_error(actual.d_input, expected.d_input) < close);
        CHECK(worst_error(actual.d_weight, expected.d_weight) < close);
    }
}

template<class T> void check_merged(const Build &build = {}) {
    const Halide::Callable kernel = compile("merge_kernels", 8 * sizeof(T), build);
    for (const auto &[K, k] : {std::pair{1, 1}, {7, 3}, {11, 11}, {10, 4}}) {
        CAPTURE(K, k);
        constexpr int count = 70, height = 5;
        const std::vector<int> sizes{K, height, count}, small_sizes{k, 3, count};
        const Values large = random_values(sizes, 1), small = random_values(small_sizes, 2);
        Values expected = large;
        for (int i = 0; i < int(small.size()); i++) {
            const int column = i % k, row = i / k % 3, c = i / k / 3;
            expected[(c * height + row + 1) * K + column + (K - k) / 2] += small[i];
        }
        Memory<T> given_large(large, sizes), given_small(small, small_sizes);
        const Values merged =
            result<T>(sizes, [&](Halide::Buffer<> output) { kernel(given(given_large), given(given_small), output); });
        CHECK(worst_error(merged, expected) < 1e-6);
    }
}

}  // namespace

TEST_CASE("the transposed convolution and its gradients are plain loops", "[transposed_conv]") {
    check<float>("_2", by_two);
    check<double>("_2", by_two);
    check<float>("", by_two);
    check<float>("", any);
    check<double>("", any);
}

TEST_CASE("the transposed convolution is right with the default schedule", "[transposed_conv]") {
    const Build plain{{{"default_schedule", "true"}}};
    check<double>("_2", by_two, plain);
    check<double>("", any, plain);
}

TEST_CASE("the transposed convolution is right with narrower vectors", "[transposed_conv]") {
    const Halide::Target host = Halide::get_host_target();
    for (const char *name : {"x86-64-linux", "x86-64-linux-sse41-avx-f16c-fma-avx2"}) {
        const Halide::Target target(name);
        if (target.has_feature(Halide::Target::AVX2) && !host.has_feature(Halide::Target::AVX2)) {
            WARN("skipped: " << name << " does not run here");
            return;
        }
        check<float>("_2", by_two, {{}, target});
        check<float>("", any, {{}, target});
    }
}

TEST_CASE("a merged kernel has the small one at its centre", "[transposed_conv]") {
    check_merged<float>();
    check_merged<double>();
    check_merged<double>({{{"default_schedule", "true"}}});
}

TEST_CASE("the GPU schedules of the transposed convolution are plain loops", "[gpu][transposed_conv]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    const Build gpu{{}, opencl()};
    check<float>("_2", by_two, gpu);
    check<float>("", any, gpu);
    check<double>("", any, gpu);
    check_merged<float>(gpu);
}
