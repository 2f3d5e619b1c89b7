// Small tables that depend on sizes alone, on the device of the maps that they belong to.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace upwell::bridge {

// int32, and the dtype of `like`; both on its device. Tables on a CUDA device are made once for each content and kept:
// calls after the first copy nothing, so that they can be captured in a CUDA graph.
at::Tensor table(const std::vector<int> &values, const at::Tensor &like);
at::Tensor table(const std::vector<double> &values, const at::Tensor &like);

// Bytes of the host as a table of the device.
at::Tensor device_bytes(const void *data, size_t bytes, at::Device device);

}  // namespace upwell::bridge
