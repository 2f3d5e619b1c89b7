// Parameters saved by Python.
#include "state.h"

#include <fstream>
#include <iterator>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/serialization/pickle.h>

namespace upwell::nn {
namespace {

c10::impl::GenericDict read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    TORCH_CHECK(file, "load_state_dict: cannot read ", path);
    const std::vector<char> bytes(std::istreambuf_iterator<char>(file), {});
    c10::IValue content;
    try {
        content = torch::jit::pickle_load(bytes);
    } catch (const std::exception &) {  // torch's message names no file, and asks for a report
    }
    TORCH_CHECK(content.isGenericDict(), "load_state_dict: ", path,
                " should hold a plain dict of tensors, as torch.save(dict(module.state_dict()), path) writes it");
    return content.toGenericDict();
}

}  // namespace

void load_state_dict(torch::nn::Module &module, const std::string &path) {
    const c10::impl::GenericDict saved = read(path);
    auto state = module.named_parameters();
    for (const auto &buffer : module.named_buffers()) {
        state.insert(buffer.key(), buffer.value());
    }
    for (const auto &entry : saved) {
        TORCH_CHECK(state.contains(entry.key().toStringRef()), "load_state_dict: unexpected ", entry.key());
    }
    const at::NoGradGuard guard;
    for (auto &entry : state) {
        TORCH_CHECK(saved.contains(entry.key()), "load_state_dict: missing ", entry.key());
        const at::Tensor value = saved.at(entry.key()).toTensor();
        TORCH_CHECK(value.sizes() == entry.value().sizes(), "load_state_dict: ", entry.key(), " should be ",
                    entry.value().sizes(), " but is ", value.sizes());
        entry.value().copy_(value);
    }
}

}  // namespace upwell::nn
