// The spectral solver of weighted reverse convolution and its adjoint, compiled in memory, against plain loops over
// whole spectra and their derivatives; on a GPU (OpenCL, on a CPU where PoCL is installed) also against the CPU's
// answer.
#include <complex>

#include "support/guided_filter.h"
#include "support/opencl.h"

using namespace upwell;
using namespace upwell::test;

namespace {

using Number = std::complex<double>;
using Spectrum = std::vector<Number>;

struct Solver {
    int planes, h, w, scale, rows, columns;  // of a kernel
    bool of_image;

    int H() const { return h * scale; }
    int W() const { return w * scale; }
    int half() const { return W() / 2 + 1; }
    int low_half() const { return w / 2 + 1; }
    std::string describe() const {
        std::string text = of_image ? "image" : "kernel";
        for (const int number : {planes, h, w, scale, rows, columns}) {
            text += " " + std::to_string(number);
        }
        return text + " (centre, planes, h, w, scale, kernel)";
    }
};

// One pixel, one row, one column, odd and even sides, more columns than a vector has lanes; planes that fill no task.
const std::vector<Solver> solvers{
    {1, 1, 1, 1, 1, 1, true},  {3, 1, 1, 3, 2, 3, false}, {1, 1, 5, 2, 1, 4, true},   {2, 6, 1, 2, 3, 2, false},
    {1, 3, 4, 1, 3, 3, true},  {5, 4, 5, 2, 3, 3, true},  {2, 3, 4, 3, 2, 5, false},  {1, 2, 3, 5, 4, 4, true},
    {2, 2, 35, 2, 3, 3, true}, {1, 3, 26, 3, 1, 2, true}, {1, 2, 17, 4, 3, 3, false},
};

// v mod n, also of a negative v.
int wrap(int v, int n) {
    return (v % n + n) % n;
}

Number wave(int64_t turns, int side) {
    return std::polar(1.0, -2 * M_PI * double(turns % side) / side);
}

// The spectra of real maps [planes, H, W].
Spectrum transform(const Values &maps, int H, int W) {
    Spectrum rows(maps.size()), result(maps.size());
    for (size_t line = 0; line < maps.size() / W; line++) {
        for (int v = 0; v < W; v++) {
            for (int x = 0; x < W; x++) {
                rows[line * W + v] += maps[line * W + x] * wave(int64_t(v) * x, W);
            }
        }
    }
    for (size_t i = 0; i < maps.size(); i++) {
        const size_t plane = i / W / H;
        for (int y = 0; y < H; y++) {
            result[i] += rows[(plane * H + y) * W + i % W] * wave(int64_t(i / W % H) * y, H);
        }
    }
    return result;
}

// Real numbers: weighted map, samples, precision, data_weight and kernel, and a gradient of the output.
struct Inputs {
    explicit Inputs(const Solver &q)
        : weighted(random_values(size_t(q.planes) * q.H() * q.W(), 1)),
          samples(random_values(size_t(q.planes) * q.h * q.w, 2)), precision(random_values(weighted.size(), 3)),
          data_weight(random_values(samples.size(), 4)),
          kernel(random_values(size_t(q.planes) * q.rows * q.columns, 5)), d_output(random_values(weighted.size(), 6)) {
        std::for_each(precision.begin(), precision.end(), [](double &v) { v = float(1.2 + v); });
        std::for_each(data_weight.begin(), data_weight.end(), [](double &v) { v = float(1 + v); });
    }

    Values weighted, samples, precision, data_weight, kernel, d_output;
};

// The published formula, and then its Hermitian part: [planes, H, W].
Spectrum solve(const Solver &q, const Inputs &in) {
    const int H = q.H(), W = q.W();
    const Spectrum Ft = transform(in.samples, q.h, q.w), Fq = transform(in.weighted, H, W);
    Spectrum X(Fq.size()), even(Fq.size());
    for (int p = 0; p < q.planes; p++) {
        const auto high = [&](int row, int column) { return (size_t(p) * H + row) * W + column; };
        const auto low = [&](int row, int column) { return (size_t(p) * q.h + row % q.h) * q.w + column % q.w; };
        Spectrum B(size_t(H) * W), R(B.size()), f(size_t(q.h) * q.w);
        Values power(f.size()), precision(f.size());
        const int up = (q.of_image ? H : q.rows) / 2, left = (q.of_image ? W : q.columns) / 2;
        for (int row = 0; row < H; row++) {
            for (int column = 0; column < W; column++) {
                const size_t u = size_t(row) * W + column, i = size_t(row % q.h) * q.w + column % q.w;
                for (int a = 0; a < q.rows; a++) {
                    for (int b = 0; b < q.columns; b++) {
                        B[u] += in.kernel[(size_t(p) * q.rows + a) * q.columns + b] *
                                wave(int64_t(row) * wrap(a - up, H), H) * wave(int64_t(column) * wrap(b - left, W), W);
                    }
                }
                R[u] = std::conj(B[u]) * Ft[low(row, column)] + Fq[high(row, column)];
                const double share = 1.0 / (q.scale * q.scale);
                f[i] += share * B[u] * R[u];
                power[i] += share * std::norm(B[u]);
                precision[i] += share * in.precision[high(row, column)];
            }
        }
        for (int row = 0; row < H; row++) {
            for (int column = 0; column < W; column++) {
                const size_t u = size_t(row) * W + column, i = size_t(row % q.h) * q.w + column % q.w;
                const double weight = in.data_weight[low(row, column)];
                const Number folded = weight / (weight * power[i] + precision[i]) * f[i];
                X[high(row, column)] = (R[u] - std::conj(B[u]) * folded) / in.precision[high(row, column)];
            }
        }
        for (int row = 0; row < H; row++) {
            for (int column = 0; column < W; column++) {
                even[high(row, column)] =
                    (X[high(row, column)] + std::conj(X[high(wrap(-row, H), wrap(-column, W))])) / 2.0;
            }
        }
    }
    return even;
}

// Columns 0 .. W / 2, real and imaginary parts side by side.
Values halved(const Spectrum &whole, int W) {
    Values pairs;
    for (size_t i = 0; i < whole.size(); i++) {
        if (int(i % W) <= W / 2) {
            pairs.insert(pairs.end(), {whole[i].real(), whole[i].imag()});
        }
    }
    return pairs;
}

// <a, b> over whole spectra of which halves are given.
double dot_halves(const Values &a, const Values &b, int W) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); i++) {
        const int column = int(i / 2 % (W / 2 + 1));
        sum += (column == 0 || 2 * column == W ? 1 : 2) * a[i] * b[i];
    }
    return sum;
}

// What both kernels take, but for the gradient.
template<class T> struct Arguments {
    Arguments(const Solver &q, const Inputs &in)
        : spectrum(halved(transform(in.weighted, q.H(), q.W()), q.W()), {2, q.half(), q.h, q.scale, q.planes}),
          samples(halved(transform(in.samples, q.h, q.w), q.w), {2, q.low_half(), q.h, q.planes}),
          precision(in.precision, {q.W(), q.h, q.scale, q.planes}), data_weight(in.data_weight, {q.w, q.h, q.planes}),
          kernel(in.kernel, {q.columns, q.rows, q.planes}),
          column_waves(waves(q.columns, (q.of_image ? q.W() : q.columns) / 2, q.W(), q.half()),
                       {2, q.half(), q.columns}),
          row_waves(waves(q.rows, (q.of_image ? q.H() : q.rows) / 2, q.H(), q.H()), {2, q.h, q.scale, q.rows}),
          low_columns(q.half(), 2) {
        for (int x = 0; x < q.half(); x++) {
            const int column = x % q.w;
            low_columns(x, 1) = column > q.w / 2;
            low_columns(x, 0) = column > q.w / 2 ? q.w - column : column;
        }
        low_columns.set_host_dirty();
    }

    template<class... More> void call(const Halide::Callable &kernel_function, const More &...more) {
        kernel_function(given(spectrum), given(samples), given(precision), given(data_weight), given(kernel),
                        given(column_waves), given(row_waves), low_columns, more...);
    }

    static Values waves(int taps, int centre, int side, int count) {
        Values pairs;
        for (int tap = 0; tap < taps; tap++) {
            for (int frequency = 0; frequency < count; frequency++) {
                const Number value = wave(int64_t(frequency) * wrap(tap - centre, side), side);
                pairs.insert(pairs.end(), {value.real(), value.imag()});
            }
        }
        return pairs;
    }

    Memory<T> spectrum, samples, precision, data_weight, kernel, column_waves, row_waves;
    Halide::Buffer<int> low_columns;
};

template<class T> Memory<T> unwritten_map(const std::vector<int> &sizes) {
    size_t count = 1;
    for (const int size : sizes) {
        count *= size;
    }
    return {Values(count, NAN), sizes};
}

template<class T> Values output(const Solver &q, const Inputs &in, const Build &build) {
    Arguments<T> arguments(q, in);
    Memory<T> solved = unwritten_map<T>({2, q.half(), q.h, q.scale, q.planes});
    const Halide::Buffer<> result = solved.buffer();
    arguments.call(compile_filter("wrc_spectral", 8 * sizeof(T), build), result);
    take(result, build.on_device());
    require_guards(solved.guards_hold());
    return solved.values();
}

struct SolverGradients {
    Values spectrum, samples, precision, data_weight, kernel;  // spectra: halves
};

template<class T> SolverGradients gradients(const Solver &q, const Inputs &in, const Build &build) {
    Arguments<T> arguments(q, in);
    const std::vector<int> high{2, q.half(), q.h, q.scale, q.planes};
    Memory<T> d_output(halved(transform(in.d_output, q.H(), q.W()), q.W()), high);
    std::vector<Memory<T>> results{
        unwritten_map<T>(high),
        unwritten_map<T>({2, q.low_half(), q.h, q.planes}),
        unwritten_map<T>({q.W(), q.h, q.scale, q.planes}),
        unwritten_map<T>({q.w, q.h, q.planes}),
        unwritten_map<T>({q.columns, q.rows, q.planes}),
    };
    std::vector<Halide::Buffer<>> buffers;
    for (Memory<T> &result : results) {
        buffers.push_back(result.buffer());
    }
    arguments.call(compile_filter("wrc_spectral_backward", 8 * sizeof(T), build), given(d_output), buffers[0],
                   buffers[1], buffers[2], buffers[3], buffers[4]);
    std::vector<Values> values;
    for (size_t i = 0; i < results.size(); i++) {
        take(buffers[i], build.on_device());
        require_guards(results[i].guards_hold());
        values.push_back(results[i].values());
    }
    return {values[0], values[1], values[2], values[3], values[4]};
}

template<class T> void check_output(const Build &build = {}) {
    for (const Solver &q : solvers) {
        CAPTURE(q.describe(), sizeof(T));
        const Inputs in(q);
        CHECK(worst_error(output<T>(q, in, build), halved(solve(q, in), q.W())) < (sizeof(T) == 4 ? 3e-6 : 1e-12));
    }
}

// Along a random direction of each input.
template<class T> void check_gradients(const Build &build = {}) {
    for (const Solver &q : solvers) {
        const Inputs in(q);
        const SolverGradients d = gradients<T>(q, in, build);
        const Values cotangent = halved(transform(in.d_output, q.H(), q.W()), q.W());
        const auto check = [&](Values Inputs::*input, const std::function<double(const Values &)> &along,
                               const Values &gradient) {
            constexpr double step = 1e-5;
            const Values direction = random_values((in.*input).size(), 7);
            const auto value = [&](double t) {
                Inputs moved = in;
                for (size_t i = 0; i < direction.size(); i++) {
                    (moved.*input)[i] += t * direction[i];
                }
                return dot_halves(halved(solve(q, moved), q.W()), cotangent, q.W());
            };
            const double want = (value(step) - value(-step)) / (2 * step);
            const double length = std::sqrt(dot(gradient, gradient) * dot(direction, direction));
            CHECK(std::abs(along(direction) - want) < (sizeof(T) == 4 ? 1e-5 : 1e-7) * std::max(length, 1.0));
        };
        CAPTURE(q.describe(), sizeof(T));
        const auto in_spectrum = [](const Values &gradient, int H, int W) {
            return [&gradient, H, W](const Values &direction) {
                return dot_halves(gradient, halved(transform(direction, H, W), W), W);
            };
        };
        const auto in_map = [](const Values &gradient) {
            return [&gradient](const Values &direction) { return dot(gradient, direction); };
        };
        check(&Inputs::weighted, in_spectrum(d.spectrum, q.H(), q.W()), d.spectrum);
        check(&Inputs::samples, in_spectrum(d.samples, q.h, q.w), d.samples);
        check(&Inputs::precision, in_map(d.precision), d.precision);
        check(&Inputs::data_weight, in_map(d.data_weight), d.data_weight);
        check(&Inputs::kernel, in_map(d.kernel), d.kernel);
    }
}

const Build plain{{{"default_schedule", "true"}}};

}  // namespace

TEST_CASE("the spectral solver is the formula, and its adjoint the gradient", "[wrc_spectral]") {
    check_output<float>();
    check_output<double>();
    check_gradients<float>();
    check_gradients<double>();
}

TEST_CASE("the spectral solver is right with the default schedule", "[wrc_spectral]") {
    check_output<float>(plain);
    check_gradients<double>(plain);
}

TEST_CASE("the spectral solver is right with narrower vectors", "[wrc_spectral]") {
    const Build narrow{{}, Halide::Target("x86-64-linux")};
    check_output<float>(narrow);
    check_gradients<float>(narrow);
}

TEST_CASE("the spectral solver gives the same bits on one thread and on two", "[wrc_spectral]") {
    const auto all = [&](const Solver &q, int threads) {
        Halide::Internal::JITSharedRuntime::set_num_threads(threads);
        const Inputs in(q);
        const SolverGradients d = gradients<float>(q, in, {});
        return std::vector<Values>{
            output<float>(q, in, {}), d.spectrum, d.samples, d.precision, d.data_weight, d.kernel};
    };
    for (const Solver &q : solvers) {
        CAPTURE(q.describe());
        CHECK((all(q, 1) == all(q, 2)));
    }
    Halide::Internal::JITSharedRuntime::set_num_threads(0);
}

TEST_CASE("the spectral solver and its adjoint are right on a GPU", "[gpu][wrc_spectral]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    check_output<float>({{}, opencl()});
    check_gradients<float>({{}, opencl()});
}
