// Group statistics, paired central difference convolution and a PCDC block's scores by name, against their definitions
// as loops.
#include <array>
#include <cmath>

#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using test::Map, test::message, test::worst_difference;

namespace {

using Ratio = std::array<int64_t, 4>;  // rows' high and low, columns' high and low

// N,C,H,W.
struct Image {
    std::vector<int64_t> sizes;
    std::vector<double> values;

    Image(const Map<double> &map) : sizes(map.sizes), values(map.data) {}
    explicit Image(std::vector<int64_t> s) : sizes(s), values(s[0] * s[1] * s[2] * s[3]) {}

    double &at(int64_t n, int64_t c, int64_t y, int64_t x) {
        return values[((n * sizes[1] + c) * sizes[2] + y) * sizes[3] + x];
    }
    // The border repeated.
    double read(int64_t n, int64_t c, int64_t y, int64_t x) const {
        y = std::clamp<int64_t>(y, 0, sizes[2] - 1);
        x = std::clamp<int64_t>(x, 0, sizes[3] - 1);
        return values[((n * sizes[1] + c) * sizes[2] + y) * sizes[3] + x];
    }
    // Between pixels: bilinear, of pixels with the border repeated.
    double sample(int64_t n, int64_t c, double y, double x) const {
        const double top = std::floor(y), left = std::floor(x), down = y - top, right = x - left;
        const auto row = [&](int64_t py) {
            const auto px = static_cast<int64_t>(left);
            return (1 - right) * read(n, c, py, px) + right * read(n, c, py, px + 1);
        };
        const auto py = static_cast<int64_t>(top);
        return (1 - down) * row(py) + down * row(py + 1);
    }
};

template<class F> void for_each(Image &image, const F &f) {
    for (int64_t n = 0; n < image.sizes[0]; n++) {
        for (int64_t c = 0; c < image.sizes[1]; c++) {
            for (int64_t y = 0; y < image.sizes[2]; y++) {
                for (int64_t x = 0; x < image.sizes[3]; x++) {
                    image.at(n, c, y, x) = f(n, c, y, x);
                }
            }
        }
    }
}

Image blurred(const Image &image) {
    const double side = std::exp(-0.5) / (1 + 2 * std::exp(-0.5));
    const std::array<double, 3> profile{side, 1 - 2 * side, side};
    Image result(image.sizes);
    for_each(result, [&](int64_t n, int64_t c, int64_t y, int64_t x) {
        double sum = 0;
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++) {
                sum += profile[i] * profile[j] * image.read(n, c, y + i - 1, x + j - 1);
            }
        }
        return sum;
    });
    return result;
}

// Where pixel p of `high` lies among `low` cells.
double position(int64_t p, int64_t low, int64_t high) {
    return (static_cast<double>(p) + 0.5) * static_cast<double>(low) / static_cast<double>(high) - 0.5;
}

Image upsampled(const Image &low, int64_t H, int64_t W) {
    Image result({low.sizes[0], low.sizes[1], H, W});
    for_each(result, [&](int64_t n, int64_t c, int64_t y, int64_t x) {
        return low.sample(n, c, position(y, low.sizes[2], H), position(x, low.sizes[3], W));
    });
    return result;
}

// Mean and 1 / sqrt(variance + eps) of sample n's group.
std::pair<double, double> statistics(const Image &image, int64_t n, int64_t group, int64_t groups, double eps) {
    const int64_t each = image.sizes[1] / groups * image.sizes[2] * image.sizes[3];
    const double *const values = &image.values[(n * groups + group) * each];
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < each; i++) {
        mean += values[i] / static_cast<double>(each);
    }
    for (int64_t i = 0; i < each; i++) {
        variance += (values[i] - mean) * (values[i] - mean) / static_cast<double>(each);
    }
    return {mean, 1 / std::sqrt(variance + eps)};
}

// image normalised with the statistics of another map of as many channels.
Image normalised(const Image &image, const Image &of, int64_t groups, const std::vector<double> &weight,
                 const std::vector<double> &bias) {
    Image result(image.sizes);
    for_each(result, [&](int64_t n, int64_t c, int64_t y, int64_t x) {
        const auto [mean, rstd] = statistics(of, n, c / (image.sizes[1] / groups), groups, 1e-5);
        return (image.read(n, c, y, x) - mean) * rstd * weight[c] + bias[c];
    });
    return result;
}

// bias + sum over taps of weight (tap(n, channel, y, x, row, column) - query).
template<class Tap>
Image difference(const Image &query, const Map<double> &weight, const std::vector<double> &bias, int64_t groups,
                 const Tap &tap) {
    const int64_t L = weight.sizes[0], E = weight.sizes[1], K = weight.sizes[2];
    Image result({query.sizes[0], L, query.sizes[2], query.sizes[3]});
    for_each(result, [&](int64_t n, int64_t l, int64_t y, int64_t x) {
        double sum = bias[l];
        for (int64_t e = 0; e < E; e++) {
            const int64_t channel = l / (L / groups) * E + e;
            for (int64_t i = 0; i < K; i++) {
                for (int64_t j = 0; j < K; j++) {
                    sum += weight.data[((l * E + e) * K + i) * K + j] *
                           (tap(n, channel, y, x, i - K / 2, j - K / 2) - query.read(n, channel, y, x));
                }
            }
        }
        return sum;
    });
    return result;
}

Image of_map(const Image &key, const Image &query, const Map<double> &weight, const std::vector<double> &bias,
             int64_t groups, const Ratio &ratio) {
    const double down = double(ratio[0]) / double(ratio[1]), right = double(ratio[2]) / double(ratio[3]);
    return difference(query, weight, bias, groups,
                      [&](int64_t n, int64_t c, int64_t y, int64_t x, int64_t row, int64_t column) {
                          return key.sample(n, c, double(y) + down * double(row), double(x) + right * double(column));
                      });
}

// weight out,in of groups, then a rectifier or none.
Image pointwise(const Image &x, const Map<double> &weight, const std::vector<double> &bias, int64_t groups, bool relu) {
    const int64_t outputs = weight.sizes[0], inputs = weight.sizes[1];
    Image result({x.sizes[0], outputs, x.sizes[2], x.sizes[3]});
    for_each(result, [&](int64_t n, int64_t o, int64_t y, int64_t px) {
        double sum = bias[o];
        for (int64_t i = 0; i < inputs; i++) {
            sum += weight.data[o * inputs + i] * x.read(n, o / (outputs / groups) * inputs + i, y, px);
        }
        return relu ? std::max(sum, 0.0) : sum;
    });
    return result;
}

struct Block {
    static constexpr int64_t N = 2, D = 8, G = 2, Q = 4, L = 6, M = 8, S = 9, K = 3;
    Map<double> norm_weight{{D}, 1}, weight{{L, D / G, K, K}, 2}, bias{{L}, 3}, compress_weight{{M, L / G}, 4},
        compress_bias{{M}, 5}, hidden_weight{{M}, 6}, hidden_bias{{M}, 7}, score_weight{{S, M}, 8}, score_bias{{S}, 9};

    std::vector<NamedArgument> arguments(Map<double> &key, Map<double> &query, Map<double> &output) {
        return {{"key", key.tensor()},
                {"query", query.tensor()},
                {"norm_weight", norm_weight.tensor()},
                {"weight", weight.tensor()},
                {"bias", bias.tensor()},
                {"compress_weight", compress_weight.tensor()},
                {"compress_bias", compress_bias.tensor()},
                {"hidden_weight", hidden_weight.tensor()},
                {"hidden_bias", hidden_bias.tensor()},
                {"score_weight", score_weight.tensor()},
                {"score_bias", score_bias.tensor()},
                {"groups", G},
                {"norm_groups", Q},
                {"output", output.tensor()}};
    }

    std::vector<double> expected(const Map<double> &given_key, const Map<double> &given_query, const Ratio *ratio,
                                 bool relu, bool blur) const {
        const std::vector<double> nothing(D);
        const Image query = given_query, key = blur ? blurred(given_key) : Image(given_key);
        const Image q = normalised(query, query, Q, norm_weight.data, nothing);
        Image v({1, 1, 1, 1});
        if (ratio) {
            v = of_map(normalised(key, key, Q, norm_weight.data, nothing), q, weight, bias.data, G, *ratio);
        } else {
            const int64_t H = query.sizes[2], W = query.sizes[3];
            const Image low = normalised(key, upsampled(key, H, W), Q, norm_weight.data, nothing);
            // The upsampling of a convolution: a tap reads the low-res map one cell on.
            v = difference(q, weight, bias.data, G,
                           [&](int64_t n, int64_t c, int64_t y, int64_t x, int64_t row, int64_t column) {
                               return low.sample(n, c, position(y, low.sizes[2], H) + double(row),
                                                 position(x, low.sizes[3], W) + double(column));
                           });
        }
        for (double &value : v.values) {
            value = relu ? std::max(value, 0.0) : value;
        }
        const Image hidden = pointwise(v, compress_weight, compress_bias.data, G, true);
        return pointwise(normalised(hidden, hidden, Q, hidden_weight.data, hidden_bias.data), score_weight,
                         score_bias.data, 1, false)
            .values;
    }
};

}  // namespace

TEST_CASE("group statistics by name equal their definition: of a map, blurred, and upsampled", "[pcdc]") {
    Map<double> x({2, 6, 5, 4}, 1), mean({2, 3}), rstd({2, 3});
    const auto check = [&](const Image &map, const std::vector<NamedArgument> &options, const char *op = "group_stats") {
        std::vector<NamedArgument> arguments{
            {"x", x.tensor()}, {"groups", 3}, {"eps", 0.01}, {"mean", mean.tensor()}, {"rstd", rstd.tensor()}};
        arguments.insert(arguments.end(), options.begin(), options.end());
        run(op, arguments);
        for (int64_t i = 0; i < 6; i++) {
            const auto [expected_mean, expected_rstd] = statistics(map, i / 3, i % 3, 3, 0.01);
            CHECK(std::abs(mean.data[i] - expected_mean) < 1e-12);
            CHECK(std::abs(rstd.data[i] - expected_rstd) < 1e-10);
        }
    };
    check(x, {});
    check(blurred(x), {{"blur", 1}});
    check(upsampled(x, 13, 9), {{"height", 13}, {"width", 9}}, "upsampled_group_stats");
    check(upsampled(x, 2, 1), {{"height", 2}, {"width", 1}}, "upsampled_group_stats");
}

TEST_CASE("a paired central difference convolution by name equals its definition", "[pcdc]") {
    for (const auto &[down, right] : {std::pair<int64_t, int64_t>{1, 1}, {2, 3}, {40, 1}}) {
        CAPTURE(down, right);
        Map<double> key({2, 4, 9, 7}, 1), query({2, 4, 9, 7}, 2), weight({6, 2, 3, 3}, 3), bias({6}, 4),
            output({2, 6, 9, 7});
        run("pcdc", {{"key", key.tensor()},
                     {"query", query.tensor()},
                     {"weight", weight.tensor()},
                     {"bias", bias.tensor()},
                     {"groups", 2},
                     {"dilation_h", down},
                     {"dilation_w", right},
                     {"output", output.tensor()}});
        const Ratio ratio{down, 1, right, 1};
        CHECK(worst_difference(output.data, of_map(key, query, weight, bias.data, 2, ratio).values) < 1e-12);
    }
}

TEST_CASE("a PCDC block's scores by name equal their definition: of a map at any ratio, and of a low-res key",
          "[pcdc]") {
    Block block;
    Map<double> low({2, 8, 5, 4}, 11), key({2, 8, 11, 9}, 12), query({2, 8, 11, 9}, 13), output({2, 9, 11, 9});
    run("pcdc_scores", block.arguments(low, query, output));
    CHECK(worst_difference(output.data, block.expected(low, query, nullptr, true, false)) < 1e-10);
    for (const Ratio &ratio : {Ratio{2, 1, 3, 1}, Ratio{11, 5, 9, 4}, Ratio{1, 3, 1, 1}}) {
        for (const bool blur : {false, true}) {
            CAPTURE(ratio, blur);
            std::vector<NamedArgument> arguments = block.arguments(key, query, output);
            arguments.insert(arguments.end(), {{"row_high", ratio[0]},
                                               {"row_low", ratio[1]},
                                               {"column_high", ratio[2]},
                                               {"column_low", ratio[3]},
                                               {"relu", 0},
                                               {"blur", blur ? 1 : 0}});
            run("pcdc_scores", arguments);
            CHECK(worst_difference(output.data, block.expected(key, query, &ratio, false, blur)) < 1e-10);
        }
    }
}

TEST_CASE("operators of PCDC blocks refuse by name what does not fit", "[pcdc]") {
    Block block;
    Map<double> low({2, 8, 5, 4}, 11), query({2, 8, 11, 9}, 13), output({2, 9, 11, 9}), small({2, 9, 11, 8});
    CHECK(message("pcdc_scores", block.arguments(low, query, small)) ==
          "pcdc_scores: output should be [2, 9, 11, 9] but is [2, 9, 11, 8]");
    std::vector<NamedArgument> arguments = block.arguments(low, query, output);
    arguments.push_back({"blur", 1});
    CHECK(message("pcdc_scores", arguments) ==
          "pcdc_scores: blur needs a key of the query's size, and how far taps are apart");
    arguments = block.arguments(low, query, output);
    arguments[12].value = 3;
    CHECK(message("pcdc_scores", arguments) == "pcdc_scores: norm_groups should divide the 8 channels of key and query but is 3");
    arguments = block.arguments(low, query, output);
    arguments.push_back({"row_high", 0});
    arguments.push_back({"column_high", 2});
    CHECK(message("pcdc_scores", arguments).find("row_high should be in 1 .. 2147483647") != std::string::npos);
    Map<double> mean({2, 3}), even({6, 4, 2, 2});
    CHECK(message("group_stats",
                  {{"x", low.tensor()}, {"groups", 3}, {"mean", mean.tensor()}, {"rstd", mean.tensor()}}) ==
          "group_stats: groups should divide the 8 channels but is 3");
    CHECK(message("pcdc", {{"key", query.tensor()},
                           {"query", query.tensor()},
                           {"weight", even.tensor()},
                           {"groups", 2},
                           {"output", small.tensor()}}) ==
          "pcdc: weight should have an odd kernel but is [6, 4, 2, 2]");
}
