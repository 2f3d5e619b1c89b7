// When a module may read the parameters of a layer of its own instead of calling it.
#pragma once

#include <typeinfo>
#include <variant>

#include <c10/util/Type.h>
#include <torch/nn/modules/conv.h>

namespace upwell::nn {

// A holder calls the forward of its own class: what a subclass does instead would be lost.
template<class Layer> void check_own_class(const char *module, const char *name, const Layer &layer) {
    TORCH_CHECK(typeid(layer) == typeid(Layer), module, ": ", name, " should be a ",
                c10::demangle(typeid(Layer).name()), " but is a ", c10::demangle(typeid(layer).name()),
                ", a subclass whose forward cannot be reached");
}

// The layer, if it is of this class and of no subclass.
template<class Layer> const Layer *own_class(const torch::nn::Module &layer) {
    return typeid(layer) == typeid(Layer) ? dynamic_cast<const Layer *>(&layer) : nullptr;
}

// Of rows and columns.
inline bool are(const torch::ExpandingArray<2> &lengths, int64_t length) {
    return (*lengths)[0] == length && (*lengths)[1] == length;
}

// Whether a convolution has no more than a kernel of this length, and padding that keeps the size.
inline bool is_convolution(const torch::nn::Conv2dImpl &layer, int64_t kernel, int64_t groups = 1) {
    const auto &o = layer.options;
    const auto *padding = std::get_if<torch::ExpandingArray<2>>(&o.padding());
    return are(o.kernel_size(), kernel) && are(o.stride(), 1) && (kernel == 1 || are(o.dilation(), 1)) && padding &&
           are(*padding, kernel / 2) && o.groups() == groups &&
           (kernel == 1 || std::holds_alternative<torch::enumtype::kZeros>(o.padding_mode()));
}

}  // namespace upwell::nn
