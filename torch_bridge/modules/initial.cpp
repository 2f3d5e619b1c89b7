// Initial values.
#include "initial.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

namespace upwell::nn {
namespace {

void no_bias(at::Tensor &bias) {
    if (bias.defined()) {
        torch::nn::init::zeros_(bias);
    }
}

}  // namespace

void small_convolutions(torch::nn::Module &module) {
    if (auto *convolution = module.as<torch::nn::Conv2d>()) {
        torch::nn::init::normal_(convolution->weight, 0, 0.02);
        no_bias(convolution->bias);
    }
}

// LibTorch has no truncated normal distribution, and +-2 are 100 standard deviations.
void small_projections(torch::nn::Module &module) {
    if (auto *linear = module.as<torch::nn::Linear>()) {
        torch::nn::init::normal_(linear->weight, 0, 0.02);
        no_bias(linear->bias);
    }
}

void uniform_convolutions(torch::nn::Module &module) {
    if (auto *convolution = module.as<torch::nn::Conv2d>()) {
        torch::nn::init::xavier_uniform_(convolution->weight);
        no_bias(convolution->bias);
    }
}

}  // namespace upwell::nn
