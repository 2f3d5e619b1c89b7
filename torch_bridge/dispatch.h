// Calls a registered operator through torch's dispatcher, so that every transform of torch sees it.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

namespace upwell::bridge {

template<class Signature> auto find_torch_operator(const char *name) {
    return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace upwell::bridge
