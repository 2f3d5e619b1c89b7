// A second opinion on the gradients of the paired central difference convolution: Halide's own derivative of its
// definition, against the plain loops that the kernels are held to.
#include <random>

#include "Halide.h"
#include "reference/pcdc.h"
#include "support/catch.h"

using namespace upwell;
using namespace Halide;

namespace {

reference::Array random_array(const std::vector<int> &sizes, std::mt19937 &bits) {
    reference::Array array(sizes);
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::generate(array.values.begin(), array.values.end(), [&] { return uniform(bits); });
    return array;
}

Buffer<double> view(reference::Array &array) {
    return Buffer<double>(array.values.data(), array.sizes);
}

void check(Derivative &derivative, Buffer<double> input, const reference::Array &expected) {
    Buffer<double> gradient(expected.sizes);
    derivative(input).realize(gradient);
    for (size_t i = 0; i < expected.values.size(); i++) {
        CHECK(gradient.data()[i] == Approx(expected.values[i]).epsilon(1e-12).margin(1e-12));
    }
}

}  // namespace

TEST_CASE("Halide's derivative of the difference is what the loops say", "[adjoint]") {
    const int E = 3, L = 4, W = 7, H = 6;
    reference::Pcdc q{1, 1, E, L, 1, 1, W, H / 2, 2, {-3, 0, 2}, {1, 0, -1}, 0, 0};
    std::mt19937 bits(1);
    reference::PcdcInputs in;
    in.key = random_array({W, H, E, 1}, bits);
    in.query = random_array({W, H, E, 1}, bits);
    in.key_centre = in.query_centre = reference::Array({E, 1});
    in.key_weight = random_array({L, E, q.taps(), 1, 1}, bits);
    in.query_weight = random_array({L, E, 1, 1}, bits);
    in.bias = random_array({L, 1, 1}, bits);
    reference::Array d_v = random_array({L, W, H, 1, 1}, bits);

    Var o, x, y, g, n;
    Buffer<double> key = view(in.key), query = view(in.query), weight = view(in.key_weight),
                   query_weight = view(in.query_weight), bias = view(in.bias);
    // The derivative reads a little beyond the region; there d_v is 0.
    const Expr c = clamp(o, 0, L - 1), inside_x = clamp(x, 0, W - 1), inside_y = clamp(y, 0, H - 1);
    Func v;
    Expr sum = bias(c, 0, 0);
    for (int i = 0; i < E; i++) {
        sum += query_weight(c, i, 0, 0) * query(inside_x, inside_y, i, 0);
        for (int tap = 0; tap < q.taps(); tap++) {
            const Expr px = clamp(x + q.tap_columns[tap], 0, W - 1);
            const Expr py = clamp(y + q.step * q.tap_rows[tap], 0, H - 1);
            sum += weight(c, i, tap, 0, 0) * key(px, py, i, 0);
        }
    }
    v(o, x, y, g, n) = sum;
    const Func adjoint = BoundaryConditions::constant_exterior(view(d_v), 0);
    Derivative derivative = propagate_adjoints(v, adjoint, Region{{0, L}, {0, W}, {0, H}, {0, 1}, {0, 1}});
    const reference::PcdcGradients expected = reference::difference_backward(q, in, d_v);
    check(derivative, key, expected.key);
    check(derivative, query, expected.query);
    check(derivative, weight, expected.key_weight);
    check(derivative, query_weight, expected.query_weight);
    check(derivative, bias, expected.bias);
}
