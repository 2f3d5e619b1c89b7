// Initial values that several published modules share, for torch::nn::Module::apply.
#pragma once

#include <torch/nn/module.h>

namespace upwell::nn {

// ReSFU's and SAPA's: weights normally distributed by 0.02, biases 0.
void small_convolutions(torch::nn::Module &module);
// SAPAExp's: as small_convolutions, of linear layers, and nothing beyond +-2.
void small_projections(torch::nn::Module &module);
// FADE's: Xavier's uniform distribution, biases 0.
void uniform_convolutions(torch::nn::Module &module);

}  // namespace upwell::nn
