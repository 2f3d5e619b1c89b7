// A statistic of channel groups as a value for every channel.
#pragma once

#include <ATen/core/Tensor.h>

namespace upwell::bridge {

// N,groups -> N,channels; groups divides channels.
inline at::Tensor per_channel(const at::Tensor &statistic, const c10::SymInt &channels) {
    return statistic.repeat_interleave_symint(channels / statistic.sym_size(1), 1);
}

}  // namespace upwell::bridge
