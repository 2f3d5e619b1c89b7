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
//     d_output             (2, V, h, s, P)  wrc_spectral_backward only: the gradient of the output's whole spectrum
//     -> output (2, V, h, s, P); wrc_spectral_backward: d_spectrum, d_samples, d_precision, d_data_weight and d_kernel,
//        of the sizes above, the first two gradients of whole spectra.
#include "algebra/wrc_spectral.h"

#include "kernel.h"
#include "schedules/form.h"
#include "schedules/wrc_spectral.h"

namespace upwell {
namespace {

template<class Parts> class WrcSpectralKernel : public Kernel<WrcSpectralKernel<Parts>> {
    using Base = Kernel<WrcSpectralKernel<Parts>>;
    using typename Base::Input, typename Base::Output;
    static constexpr bool adjoint = std::is_same_v<Parts, WrcSpectralBackward>;

public:
    void configure() {
        spectrum = this->map("spectrum", high);
        samples = this->map("samples", low);
        precision = this->map("precision", "W,h,s,P");
        data_weight = this->map("data_weight", "w,h,P");
        kernel = this->map("kernel", "KW,KH,P");
        column_waves = this->map("column_waves", "2,V,KW");
        row_waves = this->map("row_waves", "2,h,s,KH");
        columns = this->table("columns", "V,2");
        if (adjoint) {
            d_output = this->map("d_output", high);
            d_spectrum = this->out("d_spectrum", high);
            d_samples = this->out("d_samples", low);
            d_precision = this->out("d_precision", "W,h,s,P");
            d_data_weight = this->out("d_data_weight", "w,h,P");
            d_kernel = this->out("d_kernel", "KW,KH,P");
        } else {
            solved = this->out("output", high);
        }
    }

    void generate() {
        const WrcSpectralProblem problem = make_problem();
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
        this->fix_sizes();
        for (const Input complex : {spectrum, samples, column_waves, row_waves, d_output}) {
            if (complex) {
                complex->dim(1).set_stride(2);
            }
        }
        for (const Output complex : {solved, d_spectrum, d_samples}) {
            if (complex) {
                (*complex).dim(1).set_stride(2);
            }
        }
    }

    void place() {
        if (this->default_schedule) {
            schedule_plainly(*parts);
        } else {
            upwell::place(this->where(), *parts);
        }
    }

private:
    static constexpr const char *high = "2,V,h,s,P", *low = "2,v,h,P";

    // Every extent follows from the low-res map's, the scale, the kernel's and the number of planes.
    WrcSpectralProblem make_problem() {
        const auto extent = [](Input map, int d) { return map->dim(d).extent(); };
        const SpectrumSize size{extent(row_waves, 2), extent(data_weight, 0), extent(data_weight, 1),
                                form_of_sums(this->where()), *columns};
        this->set_size("V", size.half());
        this->set_size("v", size.low_half());
        this->set_size("W", size.W());
        this->set_size("h", size.h);
        this->set_size("s", extent(row_waves, 2));
        this->set_size("P", extent(data_weight, 2));
        this->set_size("KW", extent(kernel, 0));
        this->set_size("KH", extent(kernel, 1));
        return {*spectrum,  *samples,         *precision,       *data_weight, *kernel,   *column_waves,
                *row_waves, this->size("KW"), this->size("KH"), size,         this->type};
    }

    Input spectrum = nullptr, samples = nullptr, precision = nullptr, data_weight = nullptr, kernel = nullptr,
          column_waves = nullptr, row_waves = nullptr, columns = nullptr, d_output = nullptr;
    Output solved = nullptr, d_spectrum = nullptr, d_samples = nullptr, d_precision = nullptr, d_data_weight = nullptr,
           d_kernel = nullptr;
    std::unique_ptr<Parts> parts;
};

using WrcSpectralForwardGenerator = WrcSpectralKernel<WrcSpectral>;
using WrcSpectralBackwardGenerator = WrcSpectralKernel<WrcSpectralBackward>;

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::WrcSpectralForwardGenerator, wrc_spectral)
HALIDE_REGISTER_GENERATOR(upwell::WrcSpectralBackwardGenerator, wrc_spectral_backward)
