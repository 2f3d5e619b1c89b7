// Operators of torch whose kernels take their arguments from a stack. Never undone: they stay for as long as the
// process lives.
#pragma once

#include <memory>
#include <string>

#include <torch/library.h>

namespace upwell::bridge {

torch::Library &library(c10::DispatchKey key);

// schema: its name, arguments and results.
void define(const std::string &schema);

template<class Functor, class... Arguments>
void implement(c10::DispatchKey key, const std::string &name, Arguments &&...arguments) {
    library(key).impl(name.c_str(), torch::CppFunction::makeFromBoxedFunctor(std::make_unique<Functor>(arguments...)));
}

// Whether one of the arguments, tensors or nothing, is differentiated.
bool is_differentiated(const at::IValue *first, size_t count);

}  // namespace upwell::bridge
