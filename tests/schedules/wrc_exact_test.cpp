// The kernels of the exact solver of weighted reverse convolution, compiled in memory, against plain loops: the CPU's
// schedules, the default ones, and the GPU's through OpenCL (on a CPU where PoCL is installed).
#include "support/guided_filter.h"
#include "support/opencl.h"

using namespace upwell;
using namespace upwell::test;

namespace {

// N, C, h, w; kernel rows and columns; scale.
struct Wrc {
    int N, C, h, w, kh, kw, s;

    int H() const { return s * h; }
    int W() const { return s * w; }
    int low() const { return h * w; }
    int high() const { return H() * W(); }
    int planes() const { return N * C; }
    int span(int k) const { return (k + s - 1) / s; }
    int stored(int columns) const { return (columns + 15) / 16 * 16; }
    int stored_w() const { return stored(w); }
    int before(int k) const { return k - 1 - k / 2; }
    std::string describe() const {
        std::string text = "N,C,h,w,kh,kw,s =";
        for (const int number : {N, C, h, w, kh, kw, s}) {
            text += " " + std::to_string(number);
        }
        return text;
    }
};

// One pixel; a window that meets itself round the border, as large as the image; windows that overlap and that do not;
// even and oblong kernels; fewer columns than lanes, exactly as many, more; more rows than a strip.
const std::vector<Wrc> problems{
    {1, 1, 1, 1, 1, 1, 1},  {1, 2, 1, 1, 3, 3, 3},   {2, 1, 2, 3, 4, 6, 2},   {1, 2, 3, 2, 3, 2, 1},
    {2, 3, 5, 4, 3, 3, 2},  {1, 1, 4, 5, 2, 2, 4},   {1, 1, 18, 16, 3, 3, 2}, {1, 2, 3, 35, 1, 5, 2},
    {1, 2, 9, 20, 3, 3, 4}, {1, 1, 10, 33, 5, 4, 1}, {2, 1, 3, 7, 3, 3, 3},
};

Values drawn(size_t size, unsigned seed, double least, double most) {
    Values values = random_values(size, seed);
    for (double &value : values) {
        value = float(least + (value + 1) / 2 * (most - least));
    }
    return values;
}

// What the loops and the kernels are given. Low-res maps in stored rows are drawn without their padding.
struct Given {
    explicit Given(const Wrc &q)
        : q(q), kernel(random_values(q.C * q.kh * q.kw, 1)), precision(drawn(q.planes() * q.high(), 2, 0.2, 2)),
          weighted(random_values(q.planes() * q.high(), 3)), X(random_values(q.planes() * q.high(), 4)),
          data_weight(drawn(q.planes() * q.low(), 5, 0, 1)), data(random_values(q.planes() * q.low(), 6)),
          direction(random_values(q.planes() * q.low(), 7)) {
        data_weight[0] = 0;
    }

    // A of plane p of a high-res map.
    Values sample(const double *map, int p) const {
        Values result(q.low());
        visit(p, [&](int i, int pixel, double k) { result[i] += k * map[pixel]; });
        return result;
    }
    Values transposed(const Values &low, int p) const {
        Values result(q.high());
        visit(p, [&](int i, int pixel, double k) { result[pixel] += k * low[i]; });
        return result;
    }
    // f(sample, pixel, element of the kernel) of all pairs.
    template<class F> void visit(int p, F f) const {
        for (int i = 0; i < q.low(); i++) {
            for (int a = 0; a < q.kh; a++) {
                for (int b = 0; b < q.kw; b++) {
                    const int y = ((i / q.w * q.s + q.kh / 2 - a) % q.H() + q.H()) % q.H();
                    const int x = ((i % q.w * q.s + q.kw / 2 - b) % q.W() + q.W()) % q.W();
                    f(i, y * q.W() + x, kernel[(p % q.C * q.kh + a) * q.kw + b]);
                }
            }
        }
    }
    // Of A P^-1 A'.
    Values diagonal(int p) const {
        Values result(q.low());
        visit(p, [&](int i, int pixel, double k) { result[i] += k * k / precision[p * q.high() + pixel]; });
        return result;
    }

    Wrc q;
    Values kernel, precision, weighted, X, data_weight, data, direction;
};

struct System {
    Values right, gain, rest;  // low-res maps
};

System expected_system(const Given &g) {
    const Wrc &q = g.q;
    System system;
    for (int p = 0; p < q.planes(); p++) {
        Values prior(q.high());
        for (int i = 0; i < q.high(); i++) {
            prior[i] = g.weighted[p * q.high() + i] / g.precision[p * q.high() + i];
        }
        const Values sampled = g.sample(prior.data(), p), diagonal = g.diagonal(p);
        for (int i = 0; i < q.low(); i++) {
            const double weight = g.data_weight[p * q.low() + i], rest = 1 / (1 + weight * diagonal[i]);
            system.rest.push_back(rest);
            system.gain.push_back(std::sqrt(weight * rest));
            system.right.push_back(system.gain.back() * (g.data[p * q.low() + i] - sampled[i]));
        }
    }
    return system;
}

// (E + G A P^-1 A' G) u of plane p.
Values apply(const Given &g, const System &system, const double *u, int p) {
    const Wrc &q = g.q;
    const double *gain = &system.gain[p * q.low()], *rest = &system.rest[p * q.low()];
    Values weighted(q.low());
    for (int i = 0; i < q.low(); i++) {
        weighted[i] = gain[i] * u[i];
    }
    Values high = g.transposed(weighted, p);
    for (int i = 0; i < q.high(); i++) {
        high[i] /= g.precision[p * q.high() + i];
    }
    Values result = g.sample(high.data(), p);
    for (int i = 0; i < q.low(); i++) {
        result[i] = rest[i] * u[i] + gain[i] * result[i];
    }
    return result;
}

// Low-res maps, side by side in every plane, with rows of stored_w.
Values in_stored_rows(const Wrc &q, const std::vector<const Values *> &maps) {
    Values result;
    for (int p = 0; p < q.planes(); p++) {
        for (const Values *map : maps) {
            for (int y = 0; y < q.h; y++) {
                const auto row = map->begin() + (p * q.h + y) * q.w;
                result.insert(result.end(), row, row + q.w);
                result.resize(result.size() + q.stored_w() - q.w);
            }
        }
    }
    return result;
}

size_t count(const std::vector<int> &sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), size_t(1), std::multiplies<size_t>());
}

template<class T> Memory<T> result_of(const std::vector<int> &sizes) {
    return {Values(count(sizes), NAN), sizes};
}

// The kernel by cell and place.
Values packed(const Given &g) {
    const Wrc &q = g.q;
    const int rows = q.span(q.kh) * q.s, columns = q.span(q.kw) * q.s;
    Values result(q.C * rows * columns);
    for (int c = 0; c < q.C; c++) {
        for (int a = 0; a < q.kh; a++) {
            for (int b = 0; b < q.kw; b++) {
                result[(c * rows + q.kh - 1 - a) * columns + q.kw - 1 - b] = g.kernel[(c * q.kh + a) * q.kw + b];
            }
        }
    }
    return result;
}

// Cell and place of every pixel of an axis.
struct PixelTable {
    PixelTable(int cells, int scale, int before) : cell(cells * scale), place(cells * scale) {
        for (int i = 0; i < cells * scale; i++) {
            cell(i) = (i + before) % (cells * scale) / scale;
            place(i) = (i + before) % (cells * scale) % scale;
        }
        cell.set_host_dirty();
        place.set_host_dirty();
    }
    Halide::Buffer<int> cell, place;
};

template<class T> class Check {
public:
    Check(const Wrc &q, const Build &build)
        : q(q), build(build), g(q), system(expected_system(g)),
          kernel(packed(g), {q.s, q.span(q.kw), q.s, q.span(q.kh), q.C}) {}

    void start() {
        auto P = high(g.precision), Q = high(g.weighted);
        auto W = low(g.data_weight), y = low(g.data);
        auto maps = result_of<T>({q.stored_w(), q.h, 3, q.C, q.N}), squares = result_of<T>({q.C, q.N});
        run("start", {&P, &Q, &W, &y}, {}, {&maps, &squares});
        near("maps", maps, in_stored_rows(q, {&system.right, &system.gain, &system.rest}));
        near("squares", squares, dots(system.right, system.right));
    }

    void first() {
        auto maps = Memory<T>(in_stored_rows(q, {&system.right, &system.gain, &system.rest}),
                              {q.stored_w(), q.h, 3, q.C, q.N}),
             state = result_of<T>({q.stored_w(), q.h, 3, q.C, q.N});
        run("first", {&maps}, {}, {&state});
        const Values zero(system.right.size());
        near("first state", state, in_stored_rows(q, {&zero, &system.right, &system.right}));
    }

    void step() {
        auto P = high(g.precision);
        const std::vector<int> sizes{q.stored(q.w + q.span(q.kw) - 1), q.s, q.s, q.h, q.C, q.N};
        auto reciprocals = result_of<T>(sizes);
        run("reciprocals", {&P}, {}, {&reciprocals});

        Values solution = g.data, residual = system.right, direction = g.direction, squares = dots(residual, residual),
               limits(q.planes());
        const int ended = q.planes() - 1;
        limits[ended] = 2 * squares[ended];  // the last plane stays as it is
        const auto three = [&](const Values &a, const Values &b, const Values &c) {
            return Memory<T>(in_stored_rows(q, {&a, &b, &c}), {q.stored_w(), q.h, 3, q.C, q.N});
        };
        auto maps = three(system.right, system.gain, system.rest), state = three(solution, residual, direction),
             next = three(Values(solution.size(), NAN), residual, direction);
        Memory<T> given_squares(squares, {q.C, q.N}), given_limits(limits, {q.C, q.N});
        auto next_squares = result_of<T>({q.C, q.N});
        run("step", {&reciprocals, &maps, &state, &given_squares, &given_limits}, {}, {&next, &next_squares});

        for (int p = 0; p < q.planes(); p++) {
            const double *u = &direction[p * q.low()];
            const Values product = apply(g, system, u, p);
            const double curvature = std::inner_product(product.begin(), product.end(), u, 0.0);
            const double length = p == ended ? 0 : squares[p] / curvature;
            double square = 0;
            for (int i = 0; i < q.low(); i++) {
                solution[p * q.low() + i] += length * u[i];
                residual[p * q.low() + i] -= length * product[i];
                square += residual[p * q.low() + i] * residual[p * q.low() + i];
            }
            for (int i = 0; i < q.low(); i++) {
                const double keep = p == ended || squares[p] == 0 ? 0 : square / squares[p];
                direction[p * q.low() + i] = residual[p * q.low() + i] + keep * direction[p * q.low() + i];
            }
        }
        near("next", next, in_stored_rows(q, {&solution, &residual, &direction}));
        near("next squares", next_squares, dots(residual, residual));
    }

    void finish() {
        auto P = high(g.precision), Q = high(g.weighted), X = high(g.X);
        auto gain = low_stored(system.gain), solution = low_stored(g.direction);
        auto result = high_result(), v = high_result(), d_precision = high_result();
        run("finish", {&P, &Q, &gain, &solution}, pixel_tables(), {&result});
        run("finish_backward", {&P, &Q, &gain, &solution, &X}, pixel_tables(), {&v, &d_precision});
        Values expected, expected_d_precision;
        for (int p = 0; p < q.planes(); p++) {
            Values weighted(q.low());
            for (int i = 0; i < q.low(); i++) {
                weighted[i] = system.gain[p * q.low() + i] * g.direction[p * q.low() + i];
            }
            const Values spread = g.transposed(weighted, p);
            for (int i = 0; i < q.high(); i++) {
                const int pixel = p * q.high() + i;
                expected.push_back((g.weighted[pixel] + spread[i]) / g.precision[pixel]);
                expected_d_precision.push_back(-expected.back() * g.X[pixel]);
            }
        }
        near("result", result, expected);
        near("v", v, expected);
        near("d precision", d_precision, expected_d_precision);
    }

    void gradients() {
        auto v = high(g.weighted), X = high(g.X);
        auto W = low(g.data_weight), y = low(g.data);
        auto d_weight = low_result(), d_data = low_result(), misfit = low_result();
        run("low_gradients", {&v, &X, &W, &y}, {}, {&d_weight, &d_data, &misfit});
        Values expected_d_weight, expected_d_data, expected_misfit, d_kernel(q.planes() * q.kh * q.kw);
        for (int p = 0; p < q.planes(); p++) {
            const double *v_plane = &g.weighted[p * q.high()], *X_plane = &g.X[p * q.high()];
            const Values Av = g.sample(v_plane, p), AX = g.sample(X_plane, p);
            for (int i = 0; i < q.low(); i++) {
                const double weight = g.data_weight[p * q.low() + i], off = AX[i] - g.data[p * q.low() + i];
                expected_d_weight.push_back(-Av[i] * off);
                expected_d_data.push_back(weight * Av[i]);
                expected_misfit.push_back(weight * off);
            }
            int element = 0;
            g.visit(p, [&](int i, int pixel, double) {
                d_kernel[p * q.kh * q.kw + element] -= expected_misfit[p * q.low() + i] * v_plane[pixel] +
                                                       expected_d_data[p * q.low() + i] * X_plane[pixel];
                element = (element + 1) % (q.kh * q.kw);
            });
        }
        near("d weight", d_weight, expected_d_weight);
        near("d data", d_data, expected_d_data);
        near("misfit", misfit, expected_misfit);

        auto given_misfit = low(expected_misfit), given_d_data = low(expected_d_data);
        auto sums = result_of<T>({q.s, q.span(q.kw), q.s, q.span(q.kh), q.C, q.N});
        run("kernel_gradient", {&v, &X, &given_misfit, &given_d_data}, {}, {&sums});
        const Values all = sums.values();
        const int rows = q.span(q.kh) * q.s, columns = q.span(q.kw) * q.s;
        Values actual;
        for (int p = 0; p < q.planes(); p++) {
            for (int a = 0; a < q.kh; a++) {
                for (int b = 0; b < q.kw; b++) {
                    actual.push_back(all[(p * rows + q.kh - 1 - a) * columns + q.kw - 1 - b]);
                }
            }
        }
        CHECK(worst_error(actual, d_kernel) < close());
    }

private:
    Memory<T> high(const Values &values) const { return {values, {q.W(), q.H(), q.C, q.N}}; }
    Memory<T> low(const Values &values) const { return {values, {q.w, q.h, q.C, q.N}}; }
    Memory<T> low_stored(const Values &values) const {
        return {in_stored_rows(q, {&values}), {q.stored_w(), q.h, q.C, q.N}};
    }
    Memory<T> high_result() const { return result_of<T>({q.W(), q.H(), q.C, q.N}); }
    Memory<T> low_result() const { return result_of<T>({q.w, q.h, q.C, q.N}); }

    Values dots(const Values &a, const Values &b) const {
        Values result;
        for (int p = 0; p < q.planes(); p++) {
            const auto first = a.begin() + p * q.low();
            result.push_back(std::inner_product(first, first + q.low(), b.begin() + p * q.low(), 0.0));
        }
        return result;
    }

    std::vector<Halide::Buffer<>> pixel_tables() const {
        const PixelTable x(q.w, q.s, q.before(q.kw)), y(q.h, q.s, q.before(q.kh));
        return {x.cell, x.place, y.cell, y.place};
    }

    void run(const std::string &name, const std::vector<Memory<T> *> &maps, const std::vector<Halide::Buffer<>> &tables,
             const std::vector<Memory<T> *> &outputs) {
        std::vector<Halide::Buffer<>> inputs, results;
        for (Memory<T> *map : maps) {
            inputs.push_back(given(*map));
        }
        inputs.insert(inputs.end(), tables.begin(), tables.end());
        inputs.push_back(given(kernel));
        for (Memory<T> *output : outputs) {
            results.push_back(output->buffer());
        }
        results.resize(3);
        const Halide::Callable compiled = compile_filter("wrc_exact_" + name, 8 * sizeof(T), build);
        const int before_x = q.before(q.kw), before_y = q.before(q.kh);
        if (outputs.size() == 1) {
            call(compiled, inputs, q.w, q.h, before_x, before_y, results[0]);
        } else if (outputs.size() == 2) {
            call(compiled, inputs, q.w, q.h, before_x, before_y, results[0], results[1]);
        } else {
            call(compiled, inputs, q.w, q.h, before_x, before_y, results[0], results[1], results[2]);
        }
        for (size_t i = 0; i < outputs.size(); i++) {
            take(results[i], build.on_device());
            require_guards(outputs[i]->guards_hold());
        }
    }

    static double close() { return sizeof(T) == 4 ? 2e-5 : 1e-12; }
    void near(const char *what, const Memory<T> &actual, const Values &expected) const {
        CAPTURE(what);
        CHECK(worst_error(actual.values(), expected) < close());
    }

    Wrc q;
    const Build &build;
    Given g;
    System system;
    Memory<T> kernel;
};

template<class T> void check_all(const Build &build) {
    for (const Wrc &q : problems) {
        CAPTURE(q.describe(), 8 * sizeof(T));
        Check<T> check(q, build);
        check.start();
        check.first();
        check.step();
        check.finish();
        check.gradients();
    }
}

}  // namespace

TEST_CASE("the kernels of the exact solver are their formulas", "[wrc_exact]") {
    check_all<float>({});
    check_all<double>({});
}

TEST_CASE("the kernels of the exact solver are right with the default schedule", "[wrc_exact]") {
    check_all<double>({{{"default_schedule", "true"}}});
}

TEST_CASE("the kernels of the exact solver are right with narrower vectors", "[wrc_exact]") {
    check_all<float>({{}, Halide::Target("x86-64-linux")});
}

TEST_CASE("the kernels of the exact solver are right on a GPU", "[gpu][wrc_exact]") {
    if (opencl_platforms() == 0) {
        WARN("skipped: no OpenCL device");
        return;
    }
    check_all<float>({{}, opencl()});
    check_all<double>({{}, opencl()});
}
