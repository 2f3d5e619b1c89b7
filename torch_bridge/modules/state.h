// Parameters saved by Python.
#pragma once

#include <string>

#include <torch/nn/module.h>

namespace upwell::nn {

// Copies what torch.save(dict(module.state_dict()), path) wrote in Python into a module with the same names.
// Throws c10::Error that names the key when one is missing, unexpected or of another shape.
void load_state_dict(torch::nn::Module &module, const std::string &path);

}  // namespace upwell::nn
