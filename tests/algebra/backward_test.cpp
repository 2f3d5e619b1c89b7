// The transposes of the window kernel: against <A v, g> = <v, A' g>, and against the gradient that Halide derives from
// the forward algorithm.
#include <numeric>

#include "algebra/dimensions.h"
#include "algebra/reassembly.h"
#include "support/catch.h"
#include "support/generator.h"

using namespace upwell;
using namespace Halide;

namespace {

struct Named {
    const char *name;
    upwell::Operator op;
};

const std::vector<Named> &operators() {
    static const std::vector<Named> all{
        {"fns", {{3, Grid::HighRes, Sampling::Bilinear, Border::Masked}, Normaliser::Softmax}},
        {"carafe", {{3, Grid::LowRes, Sampling::Nearest, Border::Zero}, Normaliser::Softmax}},
        {"carafe_masked", {{3, Grid::LowRes, Sampling::Nearest, Border::Masked}, Normaliser::Softmax}},
        {"carafe_reassembly", {{3, Grid::LowRes, Sampling::Nearest, Border::Zero}, Normaliser::None}},
        {"bilinear", {{1, Grid::LowRes, Sampling::Bilinear, Border::Replicate}, Normaliser::Constant}},
        {"nearest", {{1, Grid::LowRes, Sampling::Nearest, Border::Replicate}, Normaliser::Constant}},
    };
    return all;
}

struct Size {
    int h, w, H, W;
};

// Exact where one integer ratio serves both axes, else tables: enlarging, shrinking, one pixel.
const std::vector<Size> sizes{{2, 3, 6, 9}, {1, 1, 4, 4}, {3, 4, 7, 6}, {5, 4, 3, 2}, {1, 1, 1, 3}};

// One problem in double, with random maps.
struct Setting {
    Setting(const Named &named, const Size &size)
        : sizes{reference::find(named.name), named.op.taps.kernel, 2, 3, size.h, size.w, size.H, size.W},
          in(test::random_inputs(sizes)), problem{named.op, lower(named.op.taps), nullptr, nullptr, Float(64), sizes.C,
                                                  sizes.N} {
        const int ratio = size.H / size.h;
        const bool exact = size.H == ratio * size.h && size.W == ratio * size.w;
        problem.columns = axis(exact ? ratio : 0, size.w, size.W);
        problem.rows = axis(exact ? ratio : 0, size.h, size.H);
        value = buffer(in.value, {size.w, size.h, sizes.C, sizes.N});
        d_output = buffer(in.d_output, {size.W, size.H, sizes.C, sizes.N});
        if (named.op.has_weights()) {
            const int taps = named.op.taps.count();
            weight = buffer(in.weight, {size.W, size.H, taps, sizes.N});
        }
    }

    reference::Problem sizes;
    reference::Inputs in;
    upwell::Problem problem;
    Buffer<double> value, weight, d_output;

private:
    std::shared_ptr<const Axis> axis(int ratio, int low, int high) const {
        const Taps &taps = problem.op.taps;
        if (ratio > 0) {
            return std::make_shared<ExactAxis>(taps, ratio, low, Float(64));
        }
        const test::AxisTable table = test::make_table(sizes, low, high);
        const auto copy = [](const std::vector<int> &list, const std::vector<int> &extents) {
            Buffer<int> owned(extents);
            std::copy(list.begin(), list.end(), owned.begin());
            return owned;
        };
        Buffer<int> columns = copy(table.taps, {high, 3}), begin = copy(table.begin, {int(table.begin.size())});
        begin.set_min(-table.margin);
        Buffer<double> fraction = buffer(table.fraction, {high});
        return std::make_shared<TableAxis>(Func(columns), Func(fraction), Func(begin), table.cell, low, high,
                                           Float(64));
    }

    static Buffer<double> buffer(const std::vector<double> &values, const std::vector<int> &extents) {
        Buffer<double> owned(extents);
        std::copy(values.begin(), values.end(), owned.begin());
        return owned;
    }
};

// A map as a stage, which a gradient can be asked of.
Func stage(const char *name, const Buffer<double> &map) {
    Func f(name);
    if (map.defined()) {
        f(x, y, c, n) = map(x, y, c, n);
    }
    return f;
}

// Every stage that a pixel's weights have here, in memory of its own.
std::vector<Func> store(const Weights &w) {
    std::vector<Func> stages{w.peak, w.exponential, w.inverse_total, w.row, w.window};
    stages.erase(std::remove_if(stages.begin(), stages.end(), [](const Func &f) { return !f.defined(); }),
                 stages.end());
    for (Func &f : stages) {
        f.compute_root();
    }
    return stages;
}

Buffer<double> realize(Func f, const Buffer<double> &like) {
    Buffer<double> result(std::vector<int>{like.width(), like.height(), like.dim(2).extent(), like.dim(3).extent()});
    f.realize(result);
    return result;
}

Buffer<double> output(const Setting &s) {
    const Reassembly parts(s.problem, stage("value", s.value), stage("weight", s.weight));
    store(parts.weights);
    return realize(parts.output, s.d_output);
}

Buffer<double> d_value(const Setting &s) {
    ReassemblyValueBackward parts(s.problem, stage("weight", s.weight), stage("d_output", s.d_output));
    store(parts.weights);
    parts.folded.along_x.compute_root();
    parts.folded.window.compute_root();
    return realize(parts.output, s.value);
}

Buffer<double> d_weight(const Setting &s) {
    const ReassemblyWeightBackward parts(s.problem, stage("value", s.value), stage("weight", s.weight),
                                        stage("d_output", s.d_output));
    store(parts.weights);
    return realize(parts.output, s.weight);
}

double dot(const Buffer<double> &a, const Buffer<double> &b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double worst_difference(const Buffer<double> &a, const Buffer<double> &b) {
    return test::worst_error({a.begin(), a.end()}, {b.begin(), b.end()});
}

// Halide drops gradients at a mux; a chain of selects means the same.
class MuxToSelect : public Internal::IRMutator {
    using Internal::IRMutator::visit;
    Expr visit(const Internal::Call *op) override {
        if (!op->is_intrinsic(Internal::Call::mux)) {
            return IRMutator::visit(op);
        }
        const Expr index = mutate(op->args[0]);
        Expr chosen = mutate(op->args.back());
        for (int i = int(op->args.size()) - 2; i >= 1; i--) {
            chosen = select(index == i - 1, mutate(op->args[i]), chosen);
        }
        return chosen;
    }
};

// The window kernel's formula pixel by pixel, which Halide can differentiate also where the algorithm goes cell by
// cell.
Func by_pixel(const Reassembly &parts, Func value) {
    const upwell::Problem &p = parts.problem;
    const RDom window(0, p.window.size, 0, p.window.size, "window");
    const auto cell = [&](const Axis &axis, Var pixel, RVar j) {
        return clamp(axis.base(pixel) + p.window.first + j, 0, axis.low - 1);
    };
    Func output("by_pixel");
    output(x, y, c, n) = Internal::make_zero(p.type);
    output(x, y, c, n) +=
        parts.weights.window(x, y, window.x, window.y, n) *
        value(cell(*p.columns, x, window.x), cell(*p.rows, y, window.y), clamp(c, 0, p.channels - 1), n);
    return output;
}

// The gradients that Halide derives from the forward algorithm.
class Derived {
public:
    explicit Derived(const Setting &setting)
        : setting(setting), value(stage("value", setting.value)), weight(stage("weight", setting.weight)),
          forward(without_bits(setting.problem), value, weight), derivative(propagate(forward)) {}

    // d_value, d_weight.
    std::pair<Buffer<double>, Buffer<double>> realize() const {
        const Setting &s = setting;
        Buffer<double> d_value(std::vector<int>{s.sizes.w, s.sizes.h, s.sizes.C, s.sizes.N});
        Buffer<double> d_weight(std::vector<int>{s.sizes.W, s.sizes.H, s.problem.op.taps.count(), s.sizes.N});
        Pipeline({derivative(value), derivative(weight)}).realize({d_value, d_weight});
        return {d_value, d_weight};
    }

private:
    static Problem without_bits(Problem problem) {
        problem.op.keeps_nan = false;
        return problem;
    }

    Derivative propagate(Reassembly &parts) const {
        MuxToSelect selects;
        std::vector<Func> stages = store(parts.weights);
        for (Func &f : stages) {
            f.function().mutate(&selects);
        }
        // Zero beyond the image: Halide may ask for one pixel more than the region it is given.
        const Func adjoint = BoundaryConditions::constant_exterior(setting.d_output, Internal::make_zero(Float(64)));
        Region region;
        for (int i = 0; i < setting.d_output.dimensions(); i++) {
            region.emplace_back(0, setting.d_output.dim(i).extent());
        }
        Derivative gradients = propagate_adjoints(by_pixel(parts, value), adjoint, region);
        for (const Func &f : stages) {
            gradients(f).compute_root();
        }
        return gradients;
    }

    const Setting &setting;
    Func value, weight;
    Reassembly forward;
    Derivative derivative;
};

}  // namespace

TEST_CASE("the value adjoint is the transpose of the operator", "[adjoint]") {
    for (const Named &named : operators()) {
        for (const Size &size : sizes) {
            const Setting s(named, size);
            CAPTURE(named.name, test::describe(s.sizes));
            CHECK(dot(output(s), s.d_output) == Approx(dot(s.value, d_value(s))).epsilon(1e-12).margin(1e-12));
        }
    }
}

TEST_CASE("one pixel is right where its size is a constant and nothing is stored", "[adjoint]") {
    for (const Named &named : operators()) {
        const Setting s(named, {1, 1, 2, 2});
        CAPTURE(named.name);
        const Func inlined = Reassembly(s.problem, stage("value", s.value), stage("weight", s.weight)).output;
        const std::vector<double> expected = reference::evaluate(s.sizes, s.in).output;
        const Buffer<double> actual = realize(inlined, s.d_output);
        CHECK(test::worst_error({actual.begin(), actual.end()}, expected) < 1e-12);
    }
}

TEST_CASE("the weight adjoint is the transpose of reassembly with given weights", "[adjoint]") {
    for (const Named &named : operators()) {
        for (const Size &size : sizes) {
            if (named.op.normaliser == Normaliser::None) {
                const Setting s(named, size);
                CAPTURE(named.name, test::describe(s.sizes));
                CHECK(dot(output(s), s.d_output) == Approx(dot(s.weight, d_weight(s))).epsilon(1e-12).margin(1e-12));
            }
        }
    }
}

TEST_CASE("both adjoints equal the gradients that Halide derives", "[adjoint]") {
    for (const Named &named : operators()) {
        if (!named.op.has_weights()) {
            continue;
        }
        for (const Size &size : {Size{3, 4, 6, 8}, Size{3, 4, 7, 6}}) {
            const Setting s(named, size);
            CAPTURE(named.name, test::describe(s.sizes));
            const auto [expected_d_value, expected_d_weight] = Derived(s).realize();
            CHECK(worst_difference(d_value(s), expected_d_value) < 1e-12);
            CHECK(worst_difference(d_weight(s), expected_d_weight) < 1e-12);
        }
    }
}
