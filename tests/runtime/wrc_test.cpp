// The solvers of weighted reverse convolution, called by name without torch, against what they are to solve as loops.
#include <cmath>
#include <complex>

#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using test::Map;

namespace {

struct Sizes {
    int64_t N, C, h, w, scale, rows, columns;  // of a weight

    int64_t H() const { return h * scale; }
    int64_t W() const { return w * scale; }
};

template<class T> struct Problem {
    Sizes sizes;
    Map<T> precision, weighted, data_weight, data, weight, output;

    explicit Problem(const Sizes &s)
        : sizes(s), precision({s.N, s.C, s.H(), s.W()}, 1), weighted({s.N, s.C, s.H(), s.W()}, 2),
          data_weight({s.N, s.C, s.h, s.w}, 3), data({s.N, s.C, s.h, s.w}, 4), weight({s.C, s.rows, s.columns}, 5),
          output({s.N, s.C, s.H(), s.W()}) {
        for (Map<T> *positive : {&precision, &data_weight}) {
            for (T &number : positive->data) {
                number = T(1.1) + number;
            }
        }
        std::fill(output.data.begin(), output.data.end(), T(NAN));  // every element has to be written
    }

    std::vector<NamedArgument> arguments(std::vector<NamedArgument> more) {
        more.insert(more.end(), {{"precision", precision.tensor()},
                                 {"weighted", weighted.tensor()},
                                 {"data_weight", data_weight.tensor()},
                                 {"data", data.tensor()},
                                 {"weight", weight.tensor()},
                                 {"scale", sizes.scale},
                                 {"output", output.tensor()}});
        return more;
    }

    std::string refusal(const std::string &name, std::vector<NamedArgument> more) {
        try {
            run(name, arguments(std::move(more)));
        } catch (const Error &error) {
            return error.what();
        }
        return "no error";
    }
};

int64_t wrap(int64_t i, int64_t period) {
    return (i % period + period) % period;
}

// A plane blurred by a weight whose middle element lies on the pixel, on circular borders, at every scale-th pixel; or
// the transpose of that.
std::vector<double> sample(const Sizes &s, const std::vector<double> &map, const double *weight, bool transposed) {
    std::vector<double> result(transposed ? s.H() * s.W() : s.h * s.w);
    for (int64_t y = 0; y < s.h; y++) {
        for (int64_t x = 0; x < s.w; x++) {
            for (int64_t v = 0; v < s.rows; v++) {
                for (int64_t u = 0; u < s.columns; u++) {
                    const int64_t low = y * s.w + x, high = wrap(y * s.scale + s.rows / 2 - v, s.H()) * s.W() +
                                                            wrap(x * s.scale + s.columns / 2 - u, s.W());
                    result[transposed ? high : low] += weight[v * s.columns + u] * map[transposed ? low : high];
                }
            }
        }
    }
    return result;
}

// The largest element of (A' W A + P) X - A' W data - Q.
double worst_residual(const Problem<double> &p) {
    const Sizes &s = p.sizes;
    const int64_t low = s.h * s.w, high = s.H() * s.W();
    double worst = 0;
    for (int64_t plane = 0; plane < s.N * s.C; plane++) {
        const double *const weight = &p.weight.data[plane % s.C * s.rows * s.columns];
        const double *const X = &p.output.data[plane * high];
        std::vector<double> misfit = sample(s, std::vector<double>(X, X + high), weight, false);
        for (int64_t i = 0; i < low; i++) {
            misfit[i] = p.data_weight.data[plane * low + i] * (misfit[i] - p.data.data[plane * low + i]);
        }
        const std::vector<double> back = sample(s, misfit, weight, true);
        for (int64_t i = 0; i < high; i++) {
            const int64_t pixel = plane * high + i;
            worst = std::max(worst, std::abs(back[i] + p.precision.data[pixel] * X[i] - p.weighted.data[pixel]));
        }
    }
    return worst;
}

using Spectrum = std::vector<std::complex<double>>;

// sum over y, x of plane(y, x) exp(-+2 pi i (v y / H + u x / W)), one axis after the other.
Spectrum transform(const Spectrum &plane, int64_t H, int64_t W, double sign) {
    Spectrum rows(plane.size()), result(plane.size());
    const auto wave = [&](int64_t turns, int64_t side) {
        return std::polar(1.0, sign * 2 * M_PI * double(turns % side) / double(side));
    };
    for (int64_t y = 0; y < H; y++) {
        for (int64_t u = 0; u < W; u++) {
            for (int64_t x = 0; x < W; x++) {
                rows[y * W + u] += plane[y * W + x] * wave(u * x, W);
            }
        }
    }
    for (int64_t v = 0; v < H; v++) {
        for (int64_t u = 0; u < W; u++) {
            for (int64_t y = 0; y < H; y++) {
                result[v * W + u] += rows[y * W + u] * wave(v * y, H);
            }
        }
    }
    return result;
}

Fourier plain_transforms() {
    const auto forward = [](const Tensor &maps, const Tensor &spectra, bool mean) {
        const int64_t planes = maps.sizes[0], H = maps.sizes[1], W = maps.sizes[2], half = spectra.sizes[2];
        const double *const from = static_cast<const double *>(maps.data);
        double *to = static_cast<double *>(spectra.data);
        for (int64_t plane = 0; plane < planes; plane++) {
            const Spectrum whole = transform(Spectrum(from + plane * H * W, from + (plane + 1) * H * W), H, W, -1);
            for (int64_t i = 0; i < H * half; i++) {
                const std::complex<double> number = whole[i / half * W + i % half] / (mean ? double(H * W) : 1.0);
                *to++ = number.real();
                *to++ = number.imag();
            }
        }
    };
    const auto back = [](const Tensor &spectra, const Tensor &maps, bool mean) {
        const int64_t planes = maps.sizes[0], H = maps.sizes[1], W = maps.sizes[2], half = spectra.sizes[2];
        const double *const from = static_cast<const double *>(spectra.data);
        double *to = static_cast<double *>(maps.data);
        for (int64_t plane = 0; plane < planes; plane++) {
            const auto at = [&](int64_t v, int64_t u) {
                const double *const pair = from + 2 * ((plane * H + v) * half + u);
                return std::complex<double>(pair[0], pair[1]);
            };
            Spectrum whole(H * W);
            for (int64_t i = 0; i < H * W; i++) {
                const int64_t v = i / W, u = i % W;
                whole[i] = u < half ? at(v, u) : std::conj(at(wrap(-v, H), W - u));
            }
            for (const std::complex<double> &number : transform(whole, H, W, 1)) {
                *to++ = number.real() / (mean ? double(H * W) : 1.0);
            }
        }
    };
    return {forward, back};
}

// The published closed form, on whole spectra. data are the weighted samples.
std::vector<double> closed_form(const Problem<double> &p, bool of_image) {
    const Sizes &s = p.sizes;
    const int64_t H = s.H(), W = s.W(), low = s.h * s.w;
    const double blocks = double(s.scale * s.scale);
    const auto low_of = [&](int64_t i) { return i / W % s.h * s.w + i % W % s.w; };
    std::vector<double> all;
    for (int64_t plane = 0; plane < s.N * s.C; plane++) {
        const double *const P = &p.precision.data[plane * H * W], *const weight = &p.data_weight.data[plane * low];
        Spectrum placed(H * W), spread(H * W), weighted(H * W);
        for (int64_t v = 0; v < s.rows; v++) {
            for (int64_t u = 0; u < s.columns; u++) {
                const int64_t y = wrap(v - (of_image ? H : s.rows) / 2, H),
                              x = wrap(u - (of_image ? W : s.columns) / 2, W);
                placed[y * W + x] = p.weight.data[(plane % s.C * s.rows + v) * s.columns + u];
            }
        }
        for (int64_t i = 0; i < low; i++) {
            spread[i / s.w * s.scale * W + i % s.w * s.scale] = p.data.data[plane * low + i];
        }
        std::copy_n(&p.weighted.data[plane * H * W], H * W, weighted.begin());
        const Spectrum B = transform(placed, H, W, -1), samples = transform(spread, H, W, -1);
        Spectrum R = transform(weighted, H, W, -1), f(low), X(H * W);
        std::vector<double> power(low), precision(low);
        for (int64_t i = 0; i < H * W; i++) {
            R[i] += std::conj(B[i]) * samples[i];
            f[low_of(i)] += B[i] * R[i] / blocks;
            power[low_of(i)] += std::norm(B[i]) / blocks;
            precision[low_of(i)] += P[i] / blocks;
        }
        for (int64_t i = 0; i < H * W; i++) {
            const int64_t l = low_of(i);
            X[i] = (R[i] - std::conj(B[i]) * weight[l] * f[l] / (weight[l] * power[l] + precision[l])) / P[i];
        }
        for (const std::complex<double> &number : transform(X, H, W, 1)) {
            all.push_back(number.real() / double(H * W));
        }
    }
    return all;
}

std::vector<std::string> warnings;

// What is warned of goes to `warnings` as long as this lives.
struct Listening {
    Listening() {
        warnings.clear();
        set_warning_handler([](const std::string &message) { warnings.push_back(message); });
    }
    ~Listening() { set_warning_handler(nullptr); }
};

}  // namespace

TEST_CASE("the exact solver of WRC solves the normal equations", "[host]") {
    const Listening listening;
    // Windows that overlap and that do not, of even and odd sides, as large as the map; one pixel; several vectors.
    for (const Sizes &sizes : {Sizes{2, 3, 4, 5, 2, 3, 3},
                               {1, 2, 3, 4, 3, 2, 3},
                               {2, 2, 2, 3, 2, 4, 2},
                               {1, 1, 1, 1, 1, 1, 1},
                               {1, 2, 3, 2, 1, 3, 2},
                               {1, 2, 5, 19, 2, 1, 5}}) {
        Problem<double> problem(sizes);
        CAPTURE(sizes.h, sizes.w, sizes.scale, sizes.rows, sizes.columns);
        run("wrc_exact", problem.arguments({{"tolerance", 1e-14}}));
        CHECK(worst_residual(problem) < 1e-10);
    }
    CHECK(warnings.empty());
}

TEST_CASE("a solve that does not get there warns, and one without a tolerance takes every step", "[host]") {
    Problem<double> problem({1, 2, 6, 7, 1, 5, 5});
    {
        const Listening listening;
        run("wrc_exact", problem.arguments({{"tolerance", 1e-12}, {"max_iterations", 2}}));
        REQUIRE(warnings.size() == 1);
        CHECK_THAT(warnings[0], ContainsSubstring("wrc_exact: the relative residual is still 0."));
        CHECK_THAT(warnings[0], ContainsSubstring(" after 2 iterations; the tolerance is 1e-12"));
        run("wrc_exact", problem.arguments({{"tolerance", 0.0}, {"max_iterations", 2}}));
        CHECK(warnings.size() == 1);
        problem.data.data[3] = NAN;
        run("wrc_exact", problem.arguments({}));
        REQUIRE(warnings.size() == 2);
        CHECK(warnings[1] == "wrc_exact: the residual is not finite; all inputs should be, and their products too");
    }
    run("wrc_exact", Problem<double>({1, 1, 2, 2, 2, 3, 3}).arguments({}));
}

TEST_CASE("planes whose squares no float holds are solved beside others", "[host]") {
    const Listening listening;
    Problem<float> plain({1, 3, 5, 6, 2, 3, 3}), extreme({1, 3, 5, 6, 2, 3, 3});
    const double factors[] = {1, std::exp2(-110), std::exp2(100)};
    for (Map<float> *map : {&extreme.weighted, &extreme.data}) {
        for (size_t i = 0; i < map->data.size(); i++) {
            map->data[i] *= static_cast<float>(factors[i / (map->data.size() / 3)]);
        }
    }
    run("wrc_exact", plain.arguments({{"tolerance", 1e-6}}));
    run("wrc_exact", extreme.arguments({{"tolerance", 1e-6}}));
    const size_t plane = plain.output.data.size() / 3;
    for (size_t i = 0; i < 3 * plane; i++) {
        CHECK(std::abs(extreme.output.data[i] / factors[i / plane] - plain.output.data[i]) < 1e-5);
    }
    CHECK(warnings.empty());
}

TEST_CASE("the spectral solver of WRC is the published closed form", "[host]") {
    for (const bool of_image : {true, false}) {
        for (const Sizes &sizes : {Sizes{2, 3, 4, 5, 2, 3, 3},
                                   {1, 2, 3, 4, 3, 2, 3},
                                   {1, 1, 1, 1, 1, 1, 1},
                                   {1, 2, 5, 3, 1, 3, 2},
                                   {2, 1, 3, 9, 2, 1, 5}}) {
            Problem<double> problem(sizes);
            CAPTURE(of_image, sizes.h, sizes.w, sizes.scale, sizes.rows, sizes.columns);
            run("wrc_spectral",
                problem.arguments({{"centre", of_image ? "image" : "kernel"}, {"fourier", plain_transforms()}}));
            CHECK(test::worst_difference(problem.output.data, closed_form(problem, of_image)) < 1e-10);
        }
    }
}

TEST_CASE("a problem of WRC that does not fit is refused with names and sizes", "[host]") {
    Problem<double> problem({2, 3, 4, 5, 2, 3, 3});
    const NamedArgument fourier{"fourier", plain_transforms()};
    CHECK(problem.refusal("wrc_spectral", {}) == "wrc_spectral: fourier is missing");
    CHECK(problem.refusal("wrc_spectral", {{"fourier", Fourier{}}}) ==
          "wrc_spectral: fourier should have forward and back");
    CHECK(problem.refusal("wrc_spectral", {{"fourier", 1}}) == "wrc_spectral: fourier should be Fourier transforms");
    CHECK(problem.refusal("wrc_spectral", {fourier, {"centre", "middle"}}) ==
          "wrc_spectral: centre should be 'image' or 'kernel' but is 'middle'");
    CHECK(problem.refusal("wrc_exact", {{"tolerance", -1.0}}) ==
          "wrc_exact: tolerance should be at least 0 and finite but is -1.000000");
    CHECK(problem.refusal("wrc_exact", {{"max_iterations", 0}}) ==
          "wrc_exact: max_iterations should be at least 1 but is 0");
    Problem<double> large({1, 1, 2, 2, 2, 5, 3}), other({2, 3, 4, 5, 2, 3, 3}), infinite({2, 3, 4, 5, 2, 3, 3});
    CHECK(large.refusal("wrc_exact", {}) ==
          "wrc_exact: weight should be no larger than the 4 x 4 pixels of precision but is [1, 5, 3]");
    other.weighted.sizes = {2, 3, 10, 8};
    CHECK(other.refusal("wrc_exact", {}) == "wrc_exact: weighted should be [2, 3, 8, 10] but is [2, 3, 10, 8]");
    infinite.weight.data[4] = INFINITY;
    CHECK(infinite.refusal("wrc_exact", {}) ==
          "wrc_exact: weight should be finite but has an element that is infinite or nan");
    CHECK(std::isnan(infinite.output.data[0]));
    CHECK(problem.refusal("wrc_spectral", {fourier}) == "no error");
}
