// The spectral solver of weighted reverse convolution and its adjoint. The arguments in order, Halide's dimensions
// innermost first; a plane is a channel of an image, P of them; scale s, W = s w, H = s h, half a spectrum has
// V = W / 2 + 1 columns, low-res v = w / 2 + 1; complex numbers are interleaved; row i + a h is row i of block a:
//     spectrum             (2, V, h, s, P)  of the weighted map
//     samples              (2, v, h, P)     spectrum of the weighted samples
//     precision            (W, h, s, P)
//     data_weight          (w, h, P)
//     kernel               (KW, KH, P)
//     column_waves         (2, V, KW)       exp(-2 pi i column (tap - centre) / W)
//     row_waves            (2, h, s, KH)    the same along rows
//     columns              (V, 2) int32     the low-res column of each one, 0 .. v - 1, and 1 where that is of -column
//     d_output             (2, V, h, s, P)  wrc_spectrum_adjoint only: the gradient of the output's whole spectrum
//     -> output (2, V, h, s, P); wrc_spectrum_adjoint: d_spectrum, d_samples, d_precision, d_data_weight and d_kernel,
//        of the sizes above, the first two gradients of whole spectra.
#include "wrc_spectrum.h"
#include "Halide.h"
#include "algebra/dimensions.h"

namespace {

using namespace upwell;
using Halide::Expr, Halide::Func, Halide::Int;

template<class Parts> class WrcSpectrumGenerator : public Halide::Generator<WrcSpectrumGenerator<Parts>> {
    using Base = Halide::Generator<WrcSpectrumGenerator<Parts>>;
    using Buffer = Halide::Buffer<void>;
    static constexpr bool adjoint = std::is_same_v<Parts, WrcSpectrumAdjoint>;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};

    void configure() {
        const auto input = [&](const std::string &name, int dimensions) {
            return Base::template add_input<Buffer>(name, type, dimensions);
        };
        const auto output = [&](const std::string &name, int dimensions) {
            return Base::template add_output<Buffer>(name, type, dimensions);
        };
        spectrum = input("spectrum", 5);
        samples = input("samples", 4);
        precision = input("precision", 4);
        data_weight = input("data_weight", 3);
        kernel = input("kernel", 3);
        column_waves = input("column_waves", 3);
        row_waves = input("row_waves", 4);
        columns = Base::template add_input<Buffer>("columns", Int(32), 2);
        if (adjoint) {
            d_output = input("d_output", 5);
            d_spectrum = output("d_spectrum", 5);
            d_samples = output("d_samples", 4);
            d_precision = output("d_precision", 4);
            d_data_weight = output("d_data_weight", 3);
            d_kernel = output("d_kernel", 3);
        } else {
            solved = output("output", 5);
        }
    }

    void generate() {
        const WrcSpectrumProblem problem = make_problem();
        if constexpr (adjoint) {
            parts = std::make_unique<Parts>(problem, *d_output);
            *d_spectrum = parts->d_spectrum;
            *d_samples = parts->d_samples;
            *d_precision = parts->d_precision;
            *d_data_weight = parts->d_data_weight;
            *d_kernel = parts->d_kernel;
        } else {
            parts = std::make_unique<Parts>(problem);
            *solved = parts->output;
        }
        fix_sizes(problem.size);
    }

    void schedule() {
        if (default_schedule) {
            upwell::schedule_plainly(*parts);
        } else {
            upwell::schedule(*parts, Base::get_target());
        }
    }

private:
    using Input = Halide::GeneratorInput<Buffer> *;
    using Output = Halide::GeneratorOutput<Buffer> *;

    WrcSpectrumProblem make_problem() {
        // A GPU has a thread for every place of every plane.
        const Form form = Base::get_target().has_gpu_feature() && !default_schedule ? Form::Gather : Form::Scan;
        const Expr low_width = data_weight->dim(0).extent(), low_height = data_weight->dim(1).extent();
        const SpectrumSize size{row_waves->dim(2).extent(), low_width, low_height, form, *columns};
        return {*spectrum,
                *samples,
                *precision,
                *data_weight,
                *kernel,
                *column_waves,
                *row_waves,
                kernel->dim(0).extent(),
                kernel->dim(1).extent(),
                size,
                type};
    }

    // Every extent follows from the low-res map's, the scale, the kernel's and the number of planes.
    void fix_sizes(const SpectrumSize &size) {
        const auto fix = [&](auto *map, const std::vector<Expr> &extents) {
            for (size_t i = 0; i < extents.size(); i++) {
                map->dim(static_cast<int>(i)).set_bounds(0, extents[i]);
            }
        };
        const auto interleaved = [&](auto *map, const std::vector<Expr> &extents) {
            fix(map, extents);
            map->dim(1).set_stride(2);
        };
        const Expr h = data_weight->dim(1).extent(), s = row_waves->dim(2).extent(),
                   planes = data_weight->dim(2).extent();
        const Expr kernel_columns = kernel->dim(0).extent(), kernel_rows = kernel->dim(1).extent();
        const std::vector<Expr> high{2, size.half(), h, s, planes}, low{2, size.low_half(), h, planes};
        interleaved(spectrum, high);
        interleaved(samples, low);
        fix(precision, {size.W(), h, s, planes});
        fix(data_weight, {size.w, h, planes});
        fix(kernel, {kernel_columns, kernel_rows, planes});
        interleaved(column_waves, {2, size.half(), kernel_columns});
        interleaved(row_waves, {2, h, s, kernel_rows});
        fix(columns, {size.half(), 2});
        if (adjoint) {
            interleaved(d_output, high);
            interleaved(d_spectrum, high);
            interleaved(d_samples, low);
            fix(d_precision, {size.W(), h, s, planes});
            fix(d_data_weight, {size.w, h, planes});
            fix(d_kernel, {kernel_columns, kernel_rows, planes});
        } else {
            interleaved(solved, high);
        }
    }

    Input spectrum = nullptr, samples = nullptr, precision = nullptr, data_weight = nullptr, kernel = nullptr,
          column_waves = nullptr, row_waves = nullptr, columns = nullptr, d_output = nullptr;
    Output solved = nullptr, d_spectrum = nullptr, d_samples = nullptr, d_precision = nullptr, d_data_weight = nullptr,
           d_kernel = nullptr;
    std::unique_ptr<Parts> parts;
};

using Forward = WrcSpectrumGenerator<WrcSpectrum>;
using Adjoint = WrcSpectrumGenerator<WrcSpectrumAdjoint>;

}  // namespace

HALIDE_REGISTER_GENERATOR(Forward, wrc_spectrum)
HALIDE_REGISTER_GENERATOR(Adjoint, wrc_spectrum_adjoint)
