// The transposed convolution by name, and its gradients as functions, without torch, against their definition as loops.
#include "operators/transposed_conv.h"

#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using test::Map, test::worst_difference;

namespace {

struct Problem {
    int64_t N, A, B, h, w, KH, KW;  // A, B: channels of a group of the input and of the output
    TransposedConvOptions options;

    std::vector<int64_t> low() const { return {N, A * options.groups, h, w}; }
    std::vector<int64_t> high() const {
        return {N, B * options.groups, options.high(0, h, KH), options.high(1, w, KW)};
    }
    std::vector<int64_t> weight() const { return {A * options.groups, B, KH, KW}; }
};

// Whole blocks and cut ones, kernels for a stride of 2 and for any.
const std::vector<Problem> problems{
    {2, 2, 3, 4, 5, 3, 3, {{2, 2}, {1, 1}, {0, 0}, 2}},   {2, 1, 1, 9, 7, 7, 7, {{2, 2}, {3, 3}, {1, 1}, 4}},
    {1, 3, 1, 5, 11, 4, 5, {{3, 2}, {0, 2}, {2, 1}, 1}},  {3, 2, 2, 6, 3, 1, 2, {{1, 4}, {0, 0}, {0, 3}, 1}},
    {1, 1, 2, 20, 19, 5, 3, {{2, 2}, {5, 2}, {0, 1}, 3}},
};

// Calls visit(element of the input, of the weight, of the output) for every product.
template<class Visit> void for_products(const Problem &q, Visit visit) {
    const auto &[stride, padding, output_padding, groups] = q.options;
    const int64_t H = q.high()[2], W = q.high()[3];
    for (int64_t i = 0; i < q.N * groups * q.A * q.B * q.h * q.w * q.KH * q.KW; i++) {
        int64_t rest = i;
        const auto next = [&](int64_t extent) {
            const int64_t index = rest % extent;
            rest /= extent;
            return index;
        };
        const int64_t kx = next(q.KW), ky = next(q.KH), x = next(q.w), y = next(q.h), b = next(q.B), a = next(q.A),
                      g = next(groups), n = next(q.N);
        const int64_t X = x * stride[1] - padding[1] + kx, Y = y * stride[0] - padding[0] + ky;
        if (X >= 0 && X < W && Y >= 0 && Y < H) {
            visit((((n * groups + g) * q.A + a) * q.h + y) * q.w + x,
                  (((g * q.A + a) * q.B + b) * q.KH + ky) * q.KW + kx, (((n * groups + g) * q.B + b) * H + Y) * W + X);
        }
    }
}

std::vector<NamedArgument> options_of(const Problem &q) {
    const auto &[stride, padding, output_padding, groups] = q.options;
    return {{"stride_h", stride[0]},
            {"stride_w", stride[1]},
            {"padding_h", padding[0]},
            {"padding_w", padding[1]},
            {"output_padding_h", output_padding[0]},
            {"output_padding_w", output_padding[1]},
            {"groups", groups}};
}

}  // namespace

TEST_CASE("a transposed convolution by name equals its definition", "[host]") {
    for (const Problem &q : problems) {
        for (const bool has_bias : {false, true}) {
            CAPTURE(q.h, q.w, q.options.groups, has_bias);
            Map<double> input(q.low(), 1), weight(q.weight(), 2), bias({q.high()[1]}, 3), output(q.high(), 4);
            std::vector<NamedArgument> arguments = options_of(q);
            arguments.insert(arguments.end(),
                             {{"input", input.tensor()}, {"weight", weight.tensor()}, {"output", output.tensor()}});
            if (has_bias) {
                arguments.push_back({"bias", bias.tensor()});
            }
            run("transposed_conv", arguments);
            const int64_t pixels = q.high()[2] * q.high()[3];
            std::vector<double> expected;
            for (size_t i = 0; i < output.data.size(); i++) {
                expected.push_back(has_bias ? bias.data[i / pixels % q.high()[1]] : 0);
            }
            for_products(q, [&](int64_t i, int64_t w, int64_t o) { expected[o] += input.data[i] * weight.data[w]; });
            CHECK(worst_difference(output.data, expected) < 1e-12);
        }
    }
}

TEST_CASE("the gradients of a transposed convolution equal their definition", "[host]") {
    for (const Problem &q : problems) {
        CAPTURE(q.h, q.w, q.options.groups);
        Map<double> input(q.low(), 1), weight(q.weight(), 2), d_output(q.high(), 3), d_input(q.low(), 4),
            d_weight(q.weight(), 5), d_bias({q.high()[1]}, 6);
        transposed_conv_d_input(q.options, d_output.tensor(), weight.tensor(), d_input.tensor(), nullptr);
        transposed_conv_d_weight(q.options, d_output.tensor(), input.tensor(), d_weight.tensor(), nullptr);
        transposed_conv_d_bias(d_output.tensor(), d_bias.tensor(), nullptr);
        std::vector<double> of_input(input.data.size()), of_weight(weight.data.size()), of_bias(q.high()[1]);
        for_products(q, [&](int64_t i, int64_t w, int64_t o) {
            of_input[i] += d_output.data[o] * weight.data[w];
            of_weight[w] += d_output.data[o] * input.data[i];
        });
        for (size_t o = 0; o < d_output.data.size(); o++) {
            of_bias[o / (q.high()[2] * q.high()[3]) % q.high()[1]] += d_output.data[o];
        }
        CHECK(worst_difference(d_input.data, of_input) < 1e-12);
        CHECK(worst_difference(d_weight.data, of_weight) < 1e-11);
        CHECK(worst_difference(d_bias.data, of_bias) < 1e-11);
    }
}

TEST_CASE("a transposed convolution of no channels is its bias", "[host]") {
    Map<float> bias({2}, 1), output({2, 2, 7, 7}, 2);
    const Tensor input{nullptr, Dtype::Float32, {2, 0, 3, 3}, {}}, weight{nullptr, Dtype::Float32, {0, 2, 3, 3}, {}};
    std::vector<NamedArgument> arguments{
        {"input", input}, {"weight", weight}, {"output", output.tensor()}, {"stride_h", 2}, {"stride_w", 2}};
    run("transposed_conv", arguments);
    CHECK(output.data == std::vector<float>(output.data.size()));
    arguments.push_back({"bias", bias.tensor()});
    run("transposed_conv", arguments);
    for (size_t i = 0; i < output.data.size(); i++) {
        CHECK(output.data[i] == bias.data[i / 49 % 2]);
    }
}

TEST_CASE("a transposed convolution that does not fit is refused with names and sizes", "[host]") {
    Map<float> input({1, 4, 3, 3}, 1), weight({4, 3, 3, 3}, 2), bias({6}, 3), output({1, 6, 7, 7}, 4), five({5});
    const std::vector<float> before = output.data;
    const NamedArgument i{"input", input.tensor()}, w{"weight", weight.tensor()}, o{"output", output.tensor()},
        y{"stride_h", 2}, x{"stride_w", 2}, g{"groups", 2};
    CHECK(test::message("transposed_conv", {i, w, o, y, x}) ==
          "transposed_conv: output should be [1, 3, 7, 7] but is [1, 6, 7, 7]");
    CHECK(test::message("transposed_conv", {i, w, o, y, x, {"groups", 3}}) ==
          "transposed_conv: groups should divide the 4 channels of the input but is 3");
    CHECK(test::message("transposed_conv", {i, w, o, y, x, g, {"padding_w", -1}}) ==
          "transposed_conv: padding_w should be in 0 .. 536870910 but is -1");
    CHECK(test::message("transposed_conv", {i, w, o, y, x, g, {"output_padding_h", 2}}) ==
          "transposed_conv: output_padding should be less than the stride [2, 2] but is [2, 0]");
    CHECK(test::message("transposed_conv", {i, w, o, y, x, g, {"bias", five.tensor()}}) ==
          "transposed_conv: bias should be [6] but is [5]");
    CHECK(test::message("transposed_conv", {w, i, o, y, x, g, {"bias", 1}}) ==
          "transposed_conv: bias should be a tensor");
    CHECK(test::message("transposed_conv", {i, w, {"output", input.tensor()}, g, {"padding_h", 2}, {"padding_w", 2}}) ==
          "transposed_conv: output should be [1, 6, 1, 1] but is [1, 4, 3, 3]");
    CHECK(output.data == before);
    CHECK(test::message("transposed_conv", {i, w, o, y, x, g, {"bias", bias.tensor()}}) == "no error");
    CHECK(output.data != before);
}
