#include "registration.h"

#include <algorithm>
#include <map>

#include <ATen/core/grad_mode.h>

namespace upwell::bridge {

using c10::DispatchKey;

torch::Library &library(DispatchKey key) {
    static auto &all = *new std::map<DispatchKey, torch::Library>;
    if (const auto found = all.find(key); found != all.end()) {
        return found->second;
    }
    const bool defines = key == DispatchKey::Undefined;
    return all
        .emplace(std::piecewise_construct, std::forward_as_tuple(key),
                 std::forward_as_tuple(defines ? torch::Library::FRAGMENT : torch::Library::IMPL, "upwell",
                                       defines ? std::nullopt : std::make_optional(key), __FILE__, __LINE__))
        .first->second;
}

void define(const std::string &schema) {
    library(DispatchKey::Undefined).def(schema.c_str());
}

bool is_differentiated(const at::IValue *first, size_t count) {
    return std::any_of(first, first + count, [](const at::IValue &argument) {
        if (argument.isNone()) {
            return false;
        }
        const at::Tensor &tensor = argument.toTensor();
        return (tensor.requires_grad() && at::GradMode::is_enabled()) || tensor._fw_grad(0).defined();
    });
}

}  // namespace upwell::bridge
