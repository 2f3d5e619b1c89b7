// Torch's Fourier transforms, as the runtime takes them.
#pragma once

#include <ATen/core/Tensor.h>

#include "upwell.h"

namespace upwell::bridge {

// Of maps of the dtype and the device of `like`.
Fourier torch_fourier(const at::Tensor &like);

}  // namespace upwell::bridge
