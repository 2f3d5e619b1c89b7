// Torch's Fourier transforms, as the runtime takes them.
#include "fourier.h"

#include <ATen/ops/fft_irfft2.h>
#include <ATen/ops/fft_rfft2.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/view_as_complex.h>
#include <ATen/ops/view_as_real.h>

namespace upwell::bridge {
namespace {

// A contiguous tensor of the runtime, on the same memory.
at::Tensor seen_by_torch(const Tensor &tensor, const at::TensorOptions &options) {
    return at::for_blob(tensor.data, tensor.sizes).options(options).target_device(options.device()).make_tensor();
}

}  // namespace

Fourier torch_fourier(const at::Tensor &like) {
    const at::TensorOptions options = at::TensorOptions().dtype(like.dtype()).device(like.device());
    const auto forward = [options](const Tensor &maps, const Tensor &spectra, bool mean) {
        const at::Tensor transformed = at::fft_rfft2(seen_by_torch(maps, options), at::OptionalIntArrayRef(), {-2, -1},
                                                     mean ? "forward" : "backward");
        seen_by_torch(spectra, options).copy_(at::view_as_real(transformed));
    };
    const auto back = [options](const Tensor &spectra, const Tensor &maps, bool mean) {
        const at::Tensor result = seen_by_torch(maps, options);
        result.copy_(at::fft_irfft2(at::view_as_complex(seen_by_torch(spectra, options)), result.sizes().slice(1),
                                    {-2, -1}, mean ? "backward" : "forward"));
    };
    return {forward, back};
}

}  // namespace upwell::bridge
