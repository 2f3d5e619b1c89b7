// Small tables that depend on sizes alone, on a device.
#pragma once

#include <ATen/core/Tensor.h>

namespace upwell::bridge {

// Bytes of the host as a table of the device, made once for each content and kept: calls after the first copy nothing, so
// that they can be captured in a CUDA graph.
at::Tensor device_bytes(const void *data, size_t bytes, at::Device device);

}  // namespace upwell::bridge
