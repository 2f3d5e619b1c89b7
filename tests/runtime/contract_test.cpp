// Sums of products of small tensors, against loops.
#include <cmath>
#include <stdexcept>

#include "host.h"
#include "support/catch.h"
#include "support/map.h"
#include "views.h"

using namespace upwell;
using test::Map, test::worst_difference;

TEST_CASE("a contraction sums over the letters that its output lacks", "[contract]") {
    Map<float> weight({3, 4, 5}, 1), x({2, 4, 5}, 2), y({2, 3});
    Host host(Dtype::Float32, nullptr);
    host.contract({y.tensor(), "nl"}, {weight.tensor(), "let"}, {x.tensor(), "net"}, 2);
    for (int n = 0; n < 2; n++) {
        for (int l = 0; l < 3; l++) {
            double sum = 0;
            for (int i = 0; i < 20; i++) {
                sum += double(weight.data[l * 20 + i]) * x.data[n * 20 + i];
            }
            CHECK(std::abs(y.data[n * 3 + l] - 2 * sum) < 1e-6);
        }
    }
}

TEST_CASE("a contraction transposes, scales by channel and pads with zeros", "[contract]") {
    for (const int width : {1, 3, 8, 11}) {
        CAPTURE(width);
        Map<double> weight({width, 7}, 1), scale({2, 7}, 2), packed({2, 7, 12}, 3);
        Host host(Dtype::Float64, nullptr);
        host.contract({packed.tensor(), "nel"}, {weight.tensor(), "le"}, {scale.tensor(), "ne"});
        std::vector<double> expected(packed.data.size(), 0.0);
        for (int n = 0; n < 2; n++) {
            for (int e = 0; e < 7; e++) {
                for (int l = 0; l < width; l++) {
                    expected[(n * 7 + e) * 12 + l] = weight.data[l * 7 + e] * scale.data[n * 7 + e];
                }
            }
        }
        CHECK(worst_difference(packed.data, expected) < 1e-15);
    }
}

TEST_CASE("a contraction adds to what its output holds", "[contract]") {
    Map<float> sums({300, 200}, 1), more({300, 200}, 2);
    std::vector<float> expected = sums.data;
    for (size_t i = 0; i < expected.size(); i++) {
        expected[i] -= more.data[i] / 2;
    }
    Host host(Dtype::Float32, nullptr);
    host.contract({sums.tensor(), "ij"}, {more.tensor(), "ij"}, -0.5, {sums.tensor(), "ij"});
    CHECK(worst_difference(sums.data, expected) < 1e-6);
}

TEST_CASE("a contraction reads windows that overlap, and ways through memory of any stride", "[contract]") {
    Map<double> line({9}, 1), kernel({3}, 2), output({7});
    Host host(Dtype::Float64, nullptr);
    const Tensor windows{line.data.data(), Dtype::Float64, {7, 3}, {1, 1}};
    host.contract({output.tensor(), "x"}, {windows, "xt"}, {kernel.tensor(), "t"});
    for (int x = 0; x < 7; x++) {
        double sum = 0;
        for (int t = 0; t < 3; t++) {
            sum += line.data[x + t] * kernel.data[t];
        }
        CHECK(std::abs(output.data[x] - sum) < 1e-15);
    }
    const Tensor backwards{&line.data[8], Dtype::Float64, {7}, {-1}};
    host.contract({output.tensor(), "x"}, {backwards, "x"});
    CHECK(output.data[0] == line.data[8]);
    CHECK(output.data[6] == line.data[2]);
}

TEST_CASE("a sum of many numbers keeps the digits of its type", "[contract]") {
    std::vector<float> ones(1 << 22, 0.1f), total(1);
    Host host(Dtype::Float32, nullptr);
    host.contract({{total.data(), Dtype::Float32, {1}, {}}, "i"},
                  {{ones.data(), Dtype::Float32, {1, 1 << 22}, {}}, "ij"});
    CHECK(std::abs(total[0] - 0.1f * (1 << 22)) < 0.1);
}

TEST_CASE("a reciprocal root of what rounding made negative is that of 0, and of a nan a nan", "[contract]") {
    Map<double> variance({4}), root({4});
    variance.data = {-1e-30, 0, 3, NAN};
    run_kernel("reciprocal_root", Dtype::Float64,
               {{"variance", variance.tensor()}, {"eps", 1.0}, {"output", root.tensor()}});
    CHECK(root.data[0] == 1);
    CHECK(root.data[1] == 1);
    CHECK(std::abs(root.data[2] - 0.5) < 1e-15);
    CHECK(std::isnan(root.data[3]));
}

TEST_CASE("a contraction refuses letters that do not fit", "[contract]") {
    Map<float> a({2, 3}), b({4, 3}), c({2, 4});
    Host host(Dtype::Float32, nullptr);
    CHECK_THROWS_AS(host.contract({c.tensor(), "il"}, {a.tensor(), "ij"}, {b.tensor(), "jl"}), std::logic_error);
    CHECK_THROWS_AS(host.contract({c.tensor(), "il"}, {a.tensor(), "i"}, {b.tensor(), "lj"}), std::logic_error);
}
