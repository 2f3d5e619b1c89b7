#include "spectrum.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/fft_ifft2.h>
#include <ATen/ops/fft_rfft2.h>
#include <ATen/ops/real.h>
#include <ATen/ops/view_as_complex.h>
#include <ATen/ops/view_as_real.h>

namespace upwell::bridge {

int spectrum_source(const Operator &op) {
    return op.signature.name == "wrc_spectral" ? op.input("weighted") : -1;
}

Tensor half_spectrum(const Tensor &maps) {
    return at::view_as_real(at::fft_rfft2(maps));
}

// The real part of the sum of the half's waves: columns beyond it are no outputs, so none of them comes in twice.
Tensor half_spectrum_transposed(const Tensor &d_spectrum, const c10::SymInt &columns) {
    const Tensor half = at::view_as_complex(d_spectrum.contiguous());
    const Tensor whole = at::constant_pad_nd_symint(half, {0, columns - half.sym_size(3)});
    return at::real(at::fft_ifft2(whole, at::OptionalIntArrayRef(), {-2, -1}, "forward"));
}

}  // namespace upwell::bridge
