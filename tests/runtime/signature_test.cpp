// Signatures: formulas, what a call by name is refused for, and gradients by name.
#include <cmath>
#include <stdexcept>

#include "formula.h"
#include "operators.h"
#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using test::Map;

namespace {

int64_t value_of(const std::string &text, const std::vector<std::pair<std::string, int64_t>> &given) {
    Symbols symbols;
    const Formula formula(text, symbols);
    Values<int64_t> values(symbols.size());
    for (const auto &[name, value] : given) {
        values.at(symbols.find(name)) = value;
    }
    return formula.evaluate(values);
}

}  // namespace

TEST_CASE("a formula is evaluated by the rules of arithmetic", "[signature]") {
    CHECK(value_of("7", {}) == 7);
    CHECK(value_of("a", {{"a", 5}}) == 5);
    CHECK(value_of("a + b*2 - 3", {{"a", 5}, {"b", 4}}) == 10);
    CHECK(value_of("(a+b)*2", {{"a", 5}, {"b", 4}}) == 18);
    CHECK(value_of("20-7-3", {}) == 10);
    CHECK(value_of("20/3*2", {}) == 12);
    CHECK(value_of("a%4", {{"a", 11}}) == 3);
    CHECK(value_of("max(a,b*3)/2", {{"a", 5}, {"b", 4}}) == 6);
    Symbols symbols;
    CHECK(Formula("low_h", symbols).symbol() == 0);
    CHECK(Formula("low_h+1", symbols).symbol() == -1);
    CHECK(Formula("3", symbols).symbol() == -1);
    CHECK(symbols.size() == 1);
}

TEST_CASE("a formula that makes no sense is refused", "[signature]") {
    for (const char *text : {"", "a+", "(a", "a)", "a b", "max(a)", "a*/b", "a$"}) {
        CAPTURE(text);
        Symbols symbols;
        CHECK_THROWS_AS(Formula(text, symbols), std::invalid_argument);
    }
}

TEST_CASE("every input of an operator that can be differentiated has a gradient, made of what there is", "[signature]") {
    for (const Operator *each : operators()) {
        const Operator &op = *each;
        CAPTURE(op.signature.name);
        std::vector<std::string> all;
        for (const Gradient &gradient : op.signature.gradients) {
            all.insert(all.end(), gradient.of.begin(), gradient.of.end());
            for (const std::string &input : gradient.of) {
                CHECK(op.input(input) >= 0);
            }
            if (gradient.rule == Gradient::Rule::Call) {
                const Operator *maker = find_operator(gradient.op);
                REQUIRE(maker);
                CHECK(maker->returned() == gradient.of.size());
            }
        }
        CHECK(op.signature.doc.size() > 10);
        CHECK((op.signature.gradients.empty() || all.size() == op.inputs.size()));
    }
}

TEST_CASE("gradients are operators by name too", "[signature]") {
    Map<double> x({1, 2, 2, 3}, 1), response({1, 2, 2, 3}, 2), weight({1, 2, 2, 3}), weighted({1, 2, 2, 3}),
        d_weight({1, 2, 2, 3}, 3), d_weighted({1, 2, 2, 3}, 4), d_x({1, 2, 2, 3}), d_response({1, 2, 2, 3});
    run("wrc_data_backward", {{"d_weight", d_weight.tensor()},
                              {"d_weighted", d_weighted.tensor()},
                              {"x", x.tensor()},
                              {"response", response.tensor()},
                              {"d_x", d_x.tensor()},
                              {"d_response", d_response.tensor()}});
    for (size_t i = 0; i < x.data.size(); i++) {
        const double r = response.data[i], w = std::log1p(r * r), d_of_w = d_weight.data[i] + d_weighted.data[i] * x.data[i];
        CHECK(std::abs(d_x.data[i] - d_weighted.data[i] * w) < 1e-12);
        CHECK(std::abs(d_response.data[i] - d_of_w * 2 * r / (1 + r * r)) < 1e-12);
    }
}

TEST_CASE("a call by name is refused before anything is written", "[signature]") {
    Map<float> x({1, 2, 2, 3}, 1), other({1, 2, 2, 4}, 2), weight({1, 2, 2, 3}, 3), weighted({1, 2, 2, 3}, 4);
    const std::vector<float> before = weight.data;
    const auto refusal = [&](const Tensor &response, const Tensor &first, const Tensor &second) {
        return test::message("wrc_data", {{"x", x.tensor()}, {"response", response}, {"weight", first}, {"weighted", second}});
    };
    CHECK(refusal(other.tensor(), weight.tensor(), weighted.tensor()) ==
          "wrc_data: response should be [1, 2, 2, 3] but is [1, 2, 2, 4]");
    CHECK(refusal(x.tensor(), weight.tensor(), other.tensor()) ==
          "wrc_data: weighted should be [1, 2, 2, 3] but is [1, 2, 2, 4]");
    CHECK(refusal(x.tensor(), x.tensor(), weighted.tensor()) == "wrc_data: weight should not share memory with x");
    CHECK(refusal(x.tensor(), weight.tensor(), weight.tensor()) == "wrc_data: weighted should not share memory with weight");
    Tensor none = x.tensor(), flat = x.tensor(), strided = x.tensor(), half = x.tensor(), askew = x.tensor();
    none.data = nullptr;
    flat.sizes = {2, 2, 3};
    strided.strides = {24, 12, 6, 1};
    half.dtype = Dtype::Float16;
    askew.data = static_cast<char *>(askew.data) + 1;
    CHECK(refusal(none, weight.tensor(), weighted.tensor()) == "wrc_data: response should have data but is a null pointer");
    CHECK(refusal(flat, weight.tensor(), weighted.tensor()) ==
          "wrc_data: response should have 4 dimensions, N,C,h,w, but is [2, 2, 3]");
    CHECK(refusal(strided, weight.tensor(), weighted.tensor()) == "wrc_data: response should be contiguous");
    CHECK(refusal(half, weight.tensor(), weighted.tensor()) == "wrc_data: response should be float32 but is float16");
    CHECK(refusal(askew, weight.tensor(), weighted.tensor()) == "wrc_data: response should be aligned to its elements");
    Tensor negative = x.tensor(), few = x.tensor(), loose = x.tensor();
    negative.sizes[0] = -1;
    few.strides = {12, 6, 3};
    loose.strides = {1000, 6, 3, 1};  // of one sample
    CHECK(refusal(negative, weight.tensor(), weighted.tensor()) ==
          "wrc_data: response should have sizes of at least 0 but is [-1, 2, 2, 3]");
    CHECK(refusal(few, weight.tensor(), weighted.tensor()) == "wrc_data: response should be contiguous");
    CHECK(test::message("wrc_data", {{"x", x.tensor()}, {"respond", 1}}) == "wrc_data: response is missing");
    CHECK(test::message("transposed_conv", {{"input", x.tensor()}, {"weight", x.tensor()}, {"output", x.tensor()}, {"pad", 1}}) ==
          "transposed_conv: has no argument 'pad'; it takes input, weight, bias, output, stride_h, stride_w, padding_h, "
          "padding_w, output_padding_h, output_padding_w, groups");
    CHECK(weight.data == before);
    CHECK(refusal(loose, weight.tensor(), weighted.tensor()) == "no error");
    CHECK(weight.data != before);
}
