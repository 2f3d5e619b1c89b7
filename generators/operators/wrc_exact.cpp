// The exact solver of weighted reverse convolution. The arguments in order, Halide's dimensions innermost first; maps
// of sizes w, h (low) and W, H = s w, s h (high), low-res maps that kernels pass each other w', h with w' = w rounded
// up to a multiple of 16; a kernel spans t_x x t_y cells:
//     wrc_exact_start        precision, weighted (W, H, C, N), data_weight, data (w, h, C, N)
//                            -> system (w', h, 3, C, N): right side, gain, rest of the diagonal; squares (C, N)
//     wrc_exact_first        system (w', h, 3, C, N)
//                            -> state (w', h, 3, C, N)
//     wrc_exact_reciprocals  precision (W, H, C, N)
//                            -> reciprocals (w + t_x - 1 rounded up as w', s, s, h, C, N)
//     wrc_exact_step         reciprocals, system, state (w', h, 3, C, N): solution, residual, direction; squares,
//     limits (C, N)
//                            -> state, squares
//     wrc_exact_finish       precision, weighted (W, H, C, N), gain, solution (w', h, C, N)
//                            -> X (W, H, C, N)
//     wrc_exact_finish_backward  precision, d_output (W, H, C, N), gain, solution (w', h, C, N), X (W, H, C, N)
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

#include "kernel.h"
#include "schedules/wrc_exact.h"

namespace upwell {
namespace {

using Halide::Expr;

constexpr const char *high = "W,H,C,N", *low = "w,h,C,N", *stored_low = "w',h,C,N", *three = "w',h,3,C,N",
                     *planes = "C,N", *of_rows = "reciprocals,s,s,h,C,N";

template<class Self, class Parts> class WrcKernel : public Kernel<Self> {
    using Base = Kernel<Self>;

public:
    void place() {
        if (this->default_schedule) {
            schedule_plainly(*parts);
        } else {
            upwell::place(this->where(), *parts);
        }
    }

protected:
    using typename Base::Input, typename Base::Integer, typename Base::Output;

    // After all maps.
    void add_windows() {
        kernel = this->map("kernel", "s,span x,s,span y,C");
        columns = this->integer("columns");
        rows = this->integer("rows");
        before_x = this->integer("before_x");
        before_y = this->integer("before_y");
    }

    // Every extent follows from the kernel's and the low-res sizes, so that bounds are exact.
    WrcWindows windows() {
        const Expr s = kernel->dim(0).extent();
        this->set_size("s", s);
        this->set_size("C", kernel->dim(4).extent());
        this->set_size("w", *columns);
        this->set_size("h", *rows);
        this->set_size("w'", stored(*columns));
        this->set_size("W", *columns * s);
        this->set_size("H", *rows * s);
        this->set_size("reciprocals", stored(*columns + this->size("span x") - 1));
        return {*kernel,
                s,
                *columns,
                *rows,
                this->size("span x"),
                this->size("span y"),
                *before_x,
                *before_y,
                this->type,
                wrc_exact_form(this->where())};
    }

    Input kernel = nullptr;
    Integer columns = nullptr, rows = nullptr, before_x = nullptr, before_y = nullptr;
    std::unique_ptr<Parts> parts;
};

class Start : public WrcKernel<Start, WrcStart> {
public:
    void configure() {
        precision = map("precision", high);
        weighted = map("weighted", high);
        data_weight = map("data_weight", low);
        data = map("data", low);
        add_windows();
        output = out("system", three);
        squares = out("squares", planes);
    }

    void generate() {
        parts = std::make_unique<WrcStart>(*precision, *weighted, *data_weight, *data, windows());
        *output = parts->output;
        *squares = parts->squares;
        fix_sizes();
    }

private:
    Input precision = nullptr, weighted = nullptr, data_weight = nullptr, data = nullptr;
    Output output = nullptr, squares = nullptr;
};

class First : public WrcKernel<First, WrcFirst> {
public:
    void configure() {
        system = map("system", three);
        add_windows();
        output = out("state", three);
    }

    void generate() {
        parts = std::make_unique<WrcFirst>(*system, windows());
        *output = parts->output;
        fix_sizes();
    }

private:
    Input system = nullptr;
    Output output = nullptr;
};

class Reciprocals : public WrcKernel<Reciprocals, WrcReciprocals> {
public:
    void configure() {
        precision = map("precision", high);
        add_windows();
        output = out("reciprocals", of_rows);
    }

    void generate() {
        parts = std::make_unique<WrcReciprocals>(*precision, windows());
        *output = parts->output;
        fix_sizes();
    }

private:
    Input precision = nullptr;
    Output output = nullptr;
};

class Step : public WrcKernel<Step, WrcStep> {
public:
    void configure() {
        reciprocals = map("reciprocals", of_rows);
        system = map("system", three);
        state = map("state", three);
        squares = map("squares", planes);
        limits = map("limits", planes);
        add_windows();
        next_state = out("next_state", three);
        next_squares = out("next_squares", planes);
    }

    void generate() {
        parts = std::make_unique<WrcStep>(*reciprocals, *system, *state, *squares, *limits, windows());
        *next_state = parts->output;
        *next_squares = parts->squares;
        fix_sizes();
    }

private:
    Input reciprocals = nullptr, system = nullptr, state = nullptr, squares = nullptr, limits = nullptr;
    Output next_state = nullptr, next_squares = nullptr;
};

template<class Self, class Parts> class Finishing : public WrcKernel<Self, Parts> {
protected:
    using typename WrcKernel<Self, Parts>::Input;

    void add_places() {
        cell_x = this->table("cell_x", "W");
        pixel_place_x = this->table("pixel_place_x", "W");
        cell_y = this->table("cell_y", "H");
        pixel_place_y = this->table("pixel_place_y", "H");
    }
    PixelPlaces x_places() { return {*cell_x, *pixel_place_x}; }
    PixelPlaces y_places() { return {*cell_y, *pixel_place_y}; }

private:
    Input cell_x = nullptr, pixel_place_x = nullptr, cell_y = nullptr, pixel_place_y = nullptr;
};

class Finish : public Finishing<Finish, WrcFinish> {
public:
    void configure() {
        precision = map("precision", high);
        weighted = map("weighted", high);
        gain = map("gain", stored_low);
        solution = map("solution", stored_low);
        add_places();
        add_windows();
        output = out("X", high);
    }

    void generate() {
        parts = std::make_unique<WrcFinish>(*precision, *weighted, *gain, *solution, x_places(), y_places(), windows());
        *output = parts->output;
        fix_sizes();
    }

private:
    Input precision = nullptr, weighted = nullptr, gain = nullptr, solution = nullptr;
    Output output = nullptr;
};

class FinishBackward : public Finishing<FinishBackward, WrcFinishBackward> {
public:
    void configure() {
        precision = map("precision", high);
        d_output = map("d_output", high);
        gain = map("gain", stored_low);
        solution = map("solution", stored_low);
        X = map("X", high);
        add_places();
        add_windows();
        output = out("gradients", high, 2);
    }

    void generate() {
        parts = std::make_unique<WrcFinishBackward>(*precision, *d_output, *gain, *solution, *X, x_places(), y_places(),
                                                   windows());
        *output = parts->output;
        fix_sizes();
    }

private:
    Input precision = nullptr, d_output = nullptr, gain = nullptr, solution = nullptr, X = nullptr;
    Output output = nullptr;
};

class LowGradients : public WrcKernel<LowGradients, WrcLowGradients> {
public:
    void configure() {
        v = map("v", high);
        X = map("X", high);
        data_weight = map("data_weight", low);
        data = map("data", low);
        add_windows();
        output = out("gradients", low, 3);
    }

    void generate() {
        parts = std::make_unique<WrcLowGradients>(*v, *X, *data_weight, *data, windows());
        *output = parts->output;
        fix_sizes();
    }

private:
    Input v = nullptr, X = nullptr, data_weight = nullptr, data = nullptr;
    Output output = nullptr;
};

class KernelGradient : public WrcKernel<KernelGradient, WrcKernelGradient> {
public:
    void configure() {
        v = map("v", high);
        X = map("X", high);
        misfit = map("misfit", low);
        d_data = map("d_data", low);
        add_windows();
        output = out("d_kernel", "s,span x,s,span y,C,N");
    }

    void generate() {
        parts = std::make_unique<WrcKernelGradient>(*v, *X, *misfit, *d_data, windows());
        *output = parts->output;
        fix_sizes();
    }

private:
    Input v = nullptr, X = nullptr, misfit = nullptr, d_data = nullptr;
    Output output = nullptr;
};

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::Start, wrc_exact_start)
HALIDE_REGISTER_GENERATOR(upwell::First, wrc_exact_first)
HALIDE_REGISTER_GENERATOR(upwell::Reciprocals, wrc_exact_reciprocals)
HALIDE_REGISTER_GENERATOR(upwell::Step, wrc_exact_step)
HALIDE_REGISTER_GENERATOR(upwell::Finish, wrc_exact_finish)
HALIDE_REGISTER_GENERATOR(upwell::FinishBackward, wrc_exact_finish_backward)
HALIDE_REGISTER_GENERATOR(upwell::LowGradients, wrc_exact_low_gradients)
HALIDE_REGISTER_GENERATOR(upwell::KernelGradient, wrc_exact_kernel_gradient)
