// The exact solver of weighted reverse convolution. The arguments in order, Halide's dimensions innermost first; maps
// of sizes w, h (low) and W, H = s w, s h (high), low-res maps that kernels pass each other w', h with w' = w rounded
// up to a multiple of 16; a kernel spans t_x x t_y cells:
//     wrc_exact_start        precision, weighted (W, H, C, N), data_weight, data (w, h, C, N)
//                            -> system (w', h, 3, C, N): right side, gain, rest of the diagonal; squares (C, N)
//     wrc_exact_reciprocals  precision (W, H, C, N)
//                            -> reciprocals (w + t_x - 1 rounded up as w', s, s, h, C, N)
//     wrc_exact_step         reciprocals, system, state (w', h, 3, C, N): solution, residual, direction; squares,
//     limits (C, N)
//                            -> state, squares
//     wrc_exact_finish       precision, weighted (W, H, C, N), gain, solution (w', h, C, N)
//                            -> X (W, H, C, N)
//     wrc_exact_finish_adjoint  precision, d_output (W, H, C, N), gain, solution (w', h, C, N), X (W, H, C, N)
//                            -> v, d_precision (W, H, C, N)
//     wrc_exact_low_gradients   v, X (W, H, C, N), data_weight, data (w, h, C, N)
//                            -> d_data_weight, d_data, misfit (w, h, C, N)
//     wrc_exact_kernel_gradient v, X (W, H, C, N), misfit, d_data (w, h, C, N)
//                            -> d_kernel (s, t_x, s, t_y, C, N)
// Before the outputs, each of them has
//     kernel                 (s, t_x, s, t_y, C): place and cell, turned round, zero beyond its size
//     columns, rows          int32: w, h
//     before_x, before_y     int32: pixels of a window before its cell, less than s t_x, s t_y
// and the two that finish also, before these, for every pixel
//     cell_x, place_x        (W) int32
//     cell_y, place_y        (H) int32
#include "algebra/wrc_exact.h"
#include "Halide.h"
#include "wrc_exact.h"

namespace {

using namespace upwell;
using Halide::Expr, Halide::Func, Halide::Int;
using AnyBuffer = Halide::Buffer<void>;

template<class Self, class Parts> class WrcGenerator : public Halide::Generator<Self> {
    using Base = Halide::Generator<Self>;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};

    void schedule() {
        if (default_schedule) {
            upwell::schedule_plainly(*parts);
        } else {
            upwell::schedule(*parts, Base::get_target());
        }
    }

protected:
    using Input = Halide::GeneratorInput<AnyBuffer> *;
    using Output = Halide::GeneratorOutput<AnyBuffer> *;

    Input add_map(const std::string &name, int dimensions) {
        return Base::template add_input<AnyBuffer>(name, type, dimensions);
    }
    Input add_table(const std::string &name) { return Base::template add_input<AnyBuffer>(name, Int(32), 1); }
    Output add_result(const std::string &name, int dimensions) {
        return Base::template add_output<AnyBuffer>(name, type, dimensions);
    }

    void add_windows() {
        kernel = add_map("kernel", 5);
        columns = Base::template add_input<int>("columns");
        rows = Base::template add_input<int>("rows");
        before_x = Base::template add_input<int>("before_x");
        before_y = Base::template add_input<int>("before_y");
    }

    WrcWindows windows() const {
        // A GPU has a thread for every pixel.
        const Form form = Base::get_target().has_gpu_feature() || default_schedule ? Form::Gather : Form::Scan;
        return {*kernel, scale(), *columns, *rows, span_x(), span_y(), *before_x, *before_y, type, form};
    }

    Expr scale() const { return kernel->dim(0).extent(); }
    Expr span_x() const { return kernel->dim(1).extent(); }
    Expr span_y() const { return kernel->dim(3).extent(); }

    // Every extent follows from the kernel's and the low-res sizes, so that bounds are exact.
    template<class Map> static void fix(Map *map, const std::vector<Expr> &extents) {
        for (size_t i = 0; i < extents.size(); i++) {
            map->dim(static_cast<int>(i)).set_bounds(0, extents[i]);
        }
    }
    template<class... Map> void fix_high(Map *...map) {
        (fix(map, {*columns * scale(), *rows * scale(), channels(), batch()}), ...);
    }
    template<class... Map> void fix_low(Map *...map) { (fix(map, {*columns, *rows, channels(), batch()}), ...); }
    template<class... Map> void fix_stored(Map *...map) {
        (fix(map, {stored(*columns), *rows, channels(), batch()}), ...);
    }
    template<class... Map> void fix_three(Map *...map) {
        (fix(map, {stored(*columns), *rows, 3, channels(), batch()}), ...);
    }
    template<class... Map> void fix_planes(Map *...map) { (fix(map, {channels(), batch()}), ...); }
    void fix_kernel() { fix(kernel, {scale(), span_x(), scale(), span_y(), channels()}); }

    Expr channels() const { return kernel->dim(4).extent(); }
    Expr batch() const { return first->dim(first->dimensions() - 1).extent(); }

    Input first = nullptr, kernel = nullptr;
    Halide::GeneratorInput<int> *columns = nullptr, *rows = nullptr, *before_x = nullptr, *before_y = nullptr;
    std::unique_ptr<Parts> parts;
};

class Start : public WrcGenerator<Start, WrcStart> {
public:
    void configure() {
        first = add_map("precision", 4);
        weighted = add_map("weighted", 4);
        data_weight = add_map("data_weight", 4);
        data = add_map("data", 4);
        add_windows();
        output = add_result("system", 5);
        squares = add_result("squares", 2);
    }

    void generate() {
        parts = std::make_unique<WrcStart>(*first, *weighted, *data_weight, *data, windows());
        *output = parts->output;
        *squares = parts->squares;
        fix_high(first, weighted);
        fix_low(data_weight, data);
        fix_kernel();
        fix_three(output);
        fix_planes(squares);
    }

private:
    Input weighted = nullptr, data_weight = nullptr, data = nullptr;
    Output output = nullptr, squares = nullptr;
};

class Reciprocals : public WrcGenerator<Reciprocals, WrcReciprocals> {
public:
    void configure() {
        first = add_map("precision", 4);
        add_windows();
        output = add_result("reciprocals", 6);
    }

    void generate() {
        parts = std::make_unique<WrcReciprocals>(*first, windows());
        *output = parts->output;
        fix_high(first);
        fix_kernel();
        fix(output, {stored(*columns + span_x() - 1), scale(), scale(), *rows, channels(), batch()});
    }

private:
    Output output = nullptr;
};

class Step : public WrcGenerator<Step, WrcStep> {
public:
    void configure() {
        first = add_map("reciprocals", 6);
        system = add_map("system", 5);
        state = add_map("state", 5);
        squares = add_map("squares", 2);
        limits = add_map("limits", 2);
        add_windows();
        next_state = add_result("next_state", 5);
        next_squares = add_result("next_squares", 2);
    }

    void generate() {
        parts = std::make_unique<WrcStep>(*first, *system, *state, *squares, *limits, windows());
        *next_state = parts->output;
        *next_squares = parts->squares;
        fix(first, {stored(*columns + span_x() - 1), scale(), scale(), *rows, channels(), batch()});
        fix_three(system, state, next_state);
        fix_planes(squares, limits, next_squares);
        fix_kernel();
    }

private:
    Input system = nullptr, state = nullptr, squares = nullptr, limits = nullptr;
    Output next_state = nullptr, next_squares = nullptr;
};

template<class Self, class Parts> class Finishing : public WrcGenerator<Self, Parts> {
protected:
    using Base = WrcGenerator<Self, Parts>;
    using typename Base::Input, typename Base::Output;

    void add_places() {
        cell_x = Base::add_table("cell_x");
        pixel_place_x = Base::add_table("pixel_place_x");
        cell_y = Base::add_table("cell_y");
        pixel_place_y = Base::add_table("pixel_place_y");
    }
    PixelPlaces x_places() { return {*cell_x, *pixel_place_x}; }
    PixelPlaces y_places() { return {*cell_y, *pixel_place_y}; }
    void fix_places() {
        for (Input table : {cell_x, pixel_place_x}) {
            Base::fix(table, {*Base::columns * Base::scale()});
        }
        for (Input table : {cell_y, pixel_place_y}) {
            Base::fix(table, {*Base::rows * Base::scale()});
        }
    }

private:
    Input cell_x = nullptr, pixel_place_x = nullptr, cell_y = nullptr, pixel_place_y = nullptr;
};

class Finish : public Finishing<Finish, WrcFinish> {
public:
    void configure() {
        first = add_map("precision", 4);
        weighted = add_map("weighted", 4);
        gain = add_map("gain", 4);
        solution = add_map("solution", 4);
        add_places();
        add_windows();
        output = add_result("X", 4);
    }

    void generate() {
        parts = std::make_unique<WrcFinish>(*first, *weighted, *gain, *solution, x_places(), y_places(), windows());
        *output = parts->output;
        fix_high(first, weighted, output);
        fix_stored(gain, solution);
        fix_places();
        fix_kernel();
    }

private:
    Input weighted = nullptr, gain = nullptr, solution = nullptr;
    Output output = nullptr;
};

class FinishAdjoint : public Finishing<FinishAdjoint, WrcFinishAdjoint> {
public:
    void configure() {
        first = add_map("precision", 4);
        d_output = add_map("d_output", 4);
        gain = add_map("gain", 4);
        solution = add_map("solution", 4);
        X = add_map("X", 4);
        add_places();
        add_windows();
        output = add_output<Func>("gradients", std::vector<Halide::Type>{type, type}, 4);
    }

    void generate() {
        parts = std::make_unique<WrcFinishAdjoint>(*first, *d_output, *gain, *solution, *X, x_places(), y_places(),
                                                   windows());
        *output = parts->output;
        fix_high(first, d_output, X);
        Halide::OutputImageParam result = parts->output.output_buffers()[0];  // the others are alike
        fix_high(&result);
        fix_stored(gain, solution);
        fix_places();
        fix_kernel();
    }

private:
    Input d_output = nullptr, gain = nullptr, solution = nullptr, X = nullptr;
    Halide::GeneratorOutput<Func> *output = nullptr;
};

class LowGradients : public WrcGenerator<LowGradients, WrcLowGradients> {
public:
    void configure() {
        first = add_map("v", 4);
        X = add_map("X", 4);
        data_weight = add_map("data_weight", 4);
        data = add_map("data", 4);
        add_windows();
        output = add_output<Func>("gradients", std::vector<Halide::Type>{type, type, type}, 4);
    }

    void generate() {
        parts = std::make_unique<WrcLowGradients>(*first, *X, *data_weight, *data, windows());
        *output = parts->output;
        fix_high(first, X);
        fix_low(data_weight, data);
        Halide::OutputImageParam result = parts->output.output_buffers()[0];  // the others are alike
        fix_low(&result);
        fix_kernel();
    }

private:
    Input X = nullptr, data_weight = nullptr, data = nullptr;
    Halide::GeneratorOutput<Func> *output = nullptr;
};

class KernelGradient : public WrcGenerator<KernelGradient, WrcKernelGradient> {
public:
    void configure() {
        first = add_map("v", 4);
        X = add_map("X", 4);
        misfit = add_map("misfit", 4);
        d_data = add_map("d_data", 4);
        add_windows();
        output = add_result("d_kernel", 6);
    }

    void generate() {
        parts = std::make_unique<WrcKernelGradient>(*first, *X, *misfit, *d_data, windows());
        *output = parts->output;
        fix_high(first, X);
        fix_low(misfit, d_data);
        fix_kernel();
        fix(output, {scale(), span_x(), scale(), span_y(), channels(), batch()});
    }

private:
    Input X = nullptr, misfit = nullptr, d_data = nullptr;
    Output output = nullptr;
};

}  // namespace

HALIDE_REGISTER_GENERATOR(Start, wrc_exact_start)
HALIDE_REGISTER_GENERATOR(Reciprocals, wrc_exact_reciprocals)
HALIDE_REGISTER_GENERATOR(Step, wrc_exact_step)
HALIDE_REGISTER_GENERATOR(Finish, wrc_exact_finish)
HALIDE_REGISTER_GENERATOR(FinishAdjoint, wrc_exact_finish_adjoint)
HALIDE_REGISTER_GENERATOR(LowGradients, wrc_exact_low_gradients)
HALIDE_REGISTER_GENERATOR(KernelGradient, wrc_exact_kernel_gradient)
