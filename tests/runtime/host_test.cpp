// The operators whose host side is written out, called by name without torch, against their definitions as loops.
#include <cmath>
#include <numeric>

#include "reference/colour_guided_filter.h"
#include "reference/guided_filter.h"
#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using test::Map, test::message, test::worst_difference;

TEST_CASE("a guided filter by name equals its definition", "[host]") {
    for (const auto &[radius, scale, centred] : {std::tuple{4, 1, false}, {3, 2, false}, {3, 2, true}, {0, 1, false}}) {
        for (const auto &[h, w] : {std::pair<int64_t, int64_t>{5, 4}, {13, 11}}) {
            CAPTURE(radius, scale, centred, h, w);
            Map<double> guide({2, 3, 13, 11}, 1), input({2, 3, h, w}, 2), output({2, 3, 13, 11});
            std::fill(output.data.begin(), output.data.end(), NAN);
            run("guided_filter", {{"guide", guide.tensor()},
                                  {"input", input.tensor()},
                                  {"radius", radius},
                                  {"scale", scale},
                                  {"centred", centred ? 1 : 0},
                                  {"eps", 0.01},
                                  {"output", output.tensor()}});
            const reference::GuidedFilter q{6, 13, 11, int(h), int(w), radius / scale, scale, centred, 0.01};
            std::vector<double> expected;
            for (int plane = 0; plane < 6; plane++) {
                const auto filtered =
                    reference::filter_plane(q, &guide.data[plane * 13 * 11], &input.data[plane * h * w]);
                expected.insert(expected.end(), filtered.begin(), filtered.end());
            }
            CHECK(worst_difference(output.data, expected) < 1e-10);
        }
    }
}

TEST_CASE("a guided filter with a colour guide by name equals its definition, and its gradients are one's transpose",
          "[host]") {
    constexpr int H = 13, W = 11, C = 5;
    for (const auto &[radius, scale, centred] : {std::tuple{4, 1, false}, {3, 2, false}, {3, 2, true}, {0, 1, false}}) {
        for (const auto &[h, w] : {std::pair<int64_t, int64_t>{5, 4}, {H, W}}) {
            CAPTURE(radius, scale, centred, h, w);
            Map<double> guide({2, 3, H, W}, 1), input({2, C, h, w}, 2), output({2, C, H, W}), d_output({2, C, H, W}, 3),
                d_input({2, C, h, w}), d_guide({2, 3, H, W});
            for (Map<double> *made : {&output, &d_input, &d_guide}) {
                std::fill(made->data.begin(), made->data.end(), NAN);
            }
            const auto call = [&, radius = radius, scale = scale, centred = centred](const std::string &op,
                                                                                     std::vector<NamedArgument> maps) {
                maps.insert(maps.end(),
                            {{"radius", radius}, {"scale", scale}, {"centred", centred ? 1 : 0}, {"eps", 0.01}});
                run(op, maps);
            };
            call("colour_guided_filter",
                 {{"guide", guide.tensor()}, {"input", input.tensor()}, {"output", output.tensor()}});
            const reference::GuidedFilter q{1, H, W, int(h), int(w), radius / scale, scale, centred, 0.01};
            std::vector<double> expected;
            for (int plane = 0; plane < 2 * C; plane++) {
                const auto filtered =
                    reference::colour_filter_plane(q, &guide.data[plane / C * 3 * H * W], &input.data[plane * h * w]);
                expected.insert(expected.end(), filtered.begin(), filtered.end());
            }
            CHECK(worst_difference(output.data, expected) < 1e-10);

            call("colour_guided_filter_d_input",
                 {{"guide", guide.tensor()}, {"d_output", d_output.tensor()}, {"d_input", d_input.tensor()}});
            const auto dot = [](const Map<double> &a, const Map<double> &b) {
                return std::inner_product(a.data.begin(), a.data.end(), b.data.begin(), 0.0);
            };
            CHECK(std::abs(dot(d_input, input) - dot(d_output, output)) < 1e-10);

            // Along a direction of the guide, by differences of calls.
            call("colour_guided_filter_d_guide", {{"guide", guide.tensor()},
                                                  {"input", input.tensor()},
                                                  {"d_output", d_output.tensor()},
                                                  {"d_guide", d_guide.tensor()}});
            const Map<double> direction({2, 3, H, W}, 4);
            double difference = 0;
            for (const double step : {1e-5, -1e-5}) {
                Map<double> moved = guide;
                for (size_t i = 0; i < moved.data.size(); i++) {
                    moved.data[i] += step * direction.data[i];
                }
                call("colour_guided_filter",
                     {{"guide", moved.tensor()}, {"input", input.tensor()}, {"output", output.tensor()}});
                difference += dot(output, d_output) / (2 * step);
            }
            CHECK(std::abs(dot(d_guide, direction) - difference) < 1e-6 * std::sqrt(dot(d_guide, d_guide)) + 1e-12);
        }
    }
}

TEST_CASE("a call by name of the colour filter says what is wrong with it", "[host]") {
    Map<float> grey({1, 1, 4, 4}), guide({1, 3, 4, 4}), input({1, 2, 4, 4}), output({1, 2, 4, 4});
    const NamedArgument g{"guide", guide.tensor()}, i{"input", input.tensor()}, o{"output", output.tensor()},
        r{"radius", 1};
    const std::string op = "colour_guided_filter";
    CHECK(message(op, {{"guide", grey.tensor()}, i, o, r}) ==
          op + ": guide should be [1, 3, 4, 4] but is [1, 1, 4, 4]");
    CHECK(message(op, {g, i, o}) == op + ": radius is missing");
    CHECK(message(op, {g, i, o, r, {"eps", 0.0}}) == op + ": eps should be positive but is 0.000000");
    CHECK(message(op, {g, i, o, r}) == "no error");
}

TEST_CASE("a mirrored border by name is that of maps extended by two radii", "[host]") {
    constexpr int H = 13, W = 11, radius = 3, more = 2 * radius;
    const auto shown = [](int place, int pixels, bool repeat_edge) {
        const int period = repeat_edge ? 2 * pixels : 2 * pixels - 2, i = ((place - more) % period + period) % period;
        return i < pixels ? i : period - (repeat_edge ? 1 : 0) - i;
    };
    for (const std::string border : {"reflect", "symmetric"}) {
        for (const auto &[h, w] : {std::pair<int64_t, int64_t>{H, W}, {5, 4}}) {
            CAPTURE(border, h, w);
            Map<double> guide({2, 3, H, W}, 1), input({2, 3, h, w}, 2), output({2, 3, H, W});
            run("guided_filter", {{"guide", guide.tensor()},
                                  {"input", input.tensor()},
                                  {"radius", radius},
                                  {"eps", 0.01},
                                  {"border", border},
                                  {"output", output.tensor()}});
            constexpr int rows = H + 2 * more, columns = W + 2 * more;
            const reference::GuidedFilter q{6, rows, columns, rows, columns, radius, 1, false, 0.01};
            std::vector<double> expected;
            for (int plane = 0; plane < 6; plane++) {
                const reference::Plane cells(&input.data[plane * h * w], &input.data[(plane + 1) * h * w]);
                reference::Plane of_guide, of_input;
                for (int p = 0; p < rows * columns; p++) {
                    const bool repeat_edge = border == "symmetric";
                    const int y = shown(p / columns, H, repeat_edge), x = shown(p % columns, W, repeat_edge);
                    of_guide.push_back(guide.data[(plane * H + y) * W + x]);
                    of_input.push_back(reference::bilinear(cells, int(w), reference::half_pixel(y, int(h), H),
                                                           reference::half_pixel(x, int(w), W)));
                }
                const reference::Plane filtered = reference::filter_plane(q, of_guide.data(), of_input.data());
                for (int p = 0; p < H * W; p++) {
                    expected.push_back(filtered[(p / W + more) * columns + p % W + more]);
                }
            }
            CHECK(worst_difference(output.data, expected) < 1e-10);
        }
    }
}

TEST_CASE("a merged kernel is the large one plus the small one at its centre", "[host]") {
    Map<float> large({2, 3, 7, 5}, 1), small({2, 3, 3, 3}, 2), merged({2, 3, 7, 5});
    run("merge_kernels", {{"large", large.tensor()}, {"small", small.tensor()}, {"merged", merged.tensor()}});
    std::vector<float> expected = large.data;
    for (int plane = 0; plane < 6; plane++) {
        for (int y = 0; y < 3; y++) {
            for (int x = 0; x < 3; x++) {
                expected[(plane * 7 + y + 2) * 5 + x + 1] += small.data[(plane * 3 + y) * 3 + x];
            }
        }
    }
    CHECK(worst_difference(merged.data, expected) < 1e-6);
    Map<float> even({2, 3, 4, 3});
    CHECK(message("merge_kernels", {{"large", large.tensor()}, {"small", even.tensor()}, {"merged", merged.tensor()}}) ==
          "merge_kernels: small should be smaller than large [2, 3, 7, 5] by an even number of rows and columns but is "
          "[2, 3, 4, 3]");
}

TEST_CASE("the data of WRC are weighted with log1p(response^2)", "[host]") {
    Map<double> x({2, 3, 4, 5}, 1), response({2, 3, 4, 5}, 2), weight({2, 3, 4, 5}), weighted({2, 3, 4, 5});
    run("wrc_data", {{"x", x.tensor()},
                     {"response", response.tensor()},
                     {"weight", weight.tensor()},
                     {"weighted", weighted.tensor()}});
    std::vector<double> expected, products;
    for (size_t i = 0; i < x.data.size(); i++) {
        expected.push_back(std::log1p(response.data[i] * response.data[i]));
        products.push_back(expected.back() * x.data[i]);
    }
    CHECK(worst_difference(weight.data, expected) < 1e-12);
    CHECK(worst_difference(weighted.data, products) < 1e-12);
}

TEST_CASE("the prior of WRC equals its definition", "[host]") {
    const int64_t N = 2, C = 3, h = 4, w = 5, scale = 3, H = h * scale, W = w * scale;
    Map<double> x({N, C, h, w}, 1), mixed({N, 9 * C, h, w}, 2), lam({C}, 3), precision({N, C, H, W}),
        weighted({N, C, H, W});
    run("wrc_prior", {{"x", x.tensor()},
                      {"mixed", mixed.tensor()},
                      {"lam", lam.tensor()},
                      {"scale", scale},
                      {"precision", precision.tensor()},
                      {"weighted", weighted.tensor()}});
    // align_corners = True; zero outside.
    const auto upsampled = [&](const double *plane, int64_t y, int64_t x) {
        if (y < 0 || y >= H || x < 0 || x >= W) {
            return 0.0;
        }
        const double v = double(y) * (h - 1) / (H - 1), u = double(x) * (w - 1) / (W - 1);
        const auto at = [&](double row, double column) {
            const auto r = std::min(int64_t(row), h - 1), c = std::min(int64_t(column), w - 1);
            return plane[r * w + c];
        };
        const double fy = v - std::floor(v), fx = u - std::floor(u);
        return (1 - fy) * ((1 - fx) * at(v, u) + fx * at(v, u + 1)) +
               fy * ((1 - fx) * at(v + 1, u) + fx * at(v + 1, u + 1));
    };
    std::vector<double> expected, products;
    for (int64_t plane = 0; plane < N * C; plane++) {
        for (int64_t p = 0; p < H * W; p++) {
            double response = 0;
            for (int tap = 0; tap < 9; tap++) {
                response += upsampled(&mixed.data[(plane * 9 + tap) * h * w], p / W + tap / 3 - 1, p % W + tap % 3 - 1);
            }
            expected.push_back(std::log1p(response * response) + lam.data[plane % C]);
            products.push_back(expected.back() * upsampled(&x.data[plane * h * w], p / W, p % W));
        }
    }
    CHECK(worst_difference(precision.data, expected) < 1e-9);
    CHECK(worst_difference(weighted.data, products) < 1e-9);
}

TEST_CASE("a call that does not fit is refused with names and sizes, before anything is written", "[host]") {
    Map<float> guide({1, 2, 8, 8}, 1), input({1, 2, 4, 4}, 2), output({1, 2, 8, 8}, 3), other({1, 3, 4, 4});
    const std::vector<float> before = output.data;
    const NamedArgument g{"guide", guide.tensor()}, i{"input", input.tensor()}, o{"output", output.tensor()},
        r{"radius", 2};
    CHECK(message("guided_filter", {g, i, o}) == "guided_filter: radius is missing");
    CHECK(message("guided_filter", {g, {"input", other.tensor()}, o, r}) ==
          "guided_filter: input should be [1, 2, 4, 4] but is [1, 3, 4, 4]");
    CHECK(message("guided_filter", {g, i, o, {"radius", -1}}) ==
          "guided_filter: radius should be in 0 .. 536870910 but is -1");
    CHECK(message("guided_filter", {g, i, o, r, {"eps", -1.0}}) ==
          "guided_filter: eps should be at least 0 and finite but is -1.000000");
    CHECK(message("guided_filter", {g, i, o, r, {"border", "zero"}}) ==
          "guided_filter: border should be 'inside', 'reflect' or 'symmetric' but is 'zero'");
    CHECK(message("guided_filter", {g, i, o, {"radius", 1 << 28}, {"border", "reflect"}}) ==
          "guided_filter: guide with its border should have at most 2147483647 elements but is [1, 2, 1073741832, "
          "1073741832]");
    CHECK(message("guided_filter", {g, i, o, r, {"sigma", 1.0}}) ==
          "guided_filter: has no argument 'sigma'; it takes guide, input, output, radius, eps, scale, centred, border");
    CHECK(message("guided_filter", {g, i, {"output", guide.tensor()}, r}) ==
          "guided_filter: output should not share memory with guide");
    Tensor strided = input.tensor();
    strided.strides = {64, 32, 8, 2};
    strided.sizes = {1, 2, 4, 2};
    CHECK_THAT(message("guided_filter", {g, {"input", strided}, o, r}), ContainsSubstring("guided_filter: input"));
    CHECK(output.data == before);
    CHECK(message("guided_filter", {g, i, o, r}) == "no error");
    CHECK(output.data != before);
}

TEST_CASE("a kernel takes its arguments by name in any order", "[host]") {
    Map<float> large({2, 5, 5}, 1), small({2, 3, 3}, 2), merged({2, 5, 5}), in_order({2, 5, 5});
    run_kernel("merge_kernels", Dtype::Float32, std::vector<Argument>{large.tensor(), small.tensor(), in_order.tensor()});
    const NamedArgument l{"large", large.tensor()}, s{"small", small.tensor()}, m{"merged", merged.tensor()};
    run_kernel("merge_kernels", Dtype::Float32, std::vector<NamedArgument>{m, l, s});
    CHECK(merged.data == in_order.data);
    const auto refusal = [&](const std::vector<NamedArgument> &arguments) {
        try {
            run_kernel("merge_kernels", Dtype::Float32, arguments);
        } catch (const Error &error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    CHECK(refusal({l, s}) == "merge_kernels: merged is missing");
    CHECK(refusal({l, s, m, {"more", 1}}) == "merge_kernels: has no argument 'more'; it takes large, small, merged");
    CHECK(refusal({l, s, {"merged", 1}}) == "merge_kernels: merged should be a tensor");
}
