// One way to build and call every upsampler, so that a program can swap them by name.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/ivalue.h>
#include <torch/nn/module.h>

namespace upwell::nn {

// An upsampler of any kind. Its parameters have the names of what Python's upwell.nn.make returns: load_state_dict(*it,
// path) takes what that saved.
class Upsampler {
public:
    using Module = torch::nn::Module;
    using Call = at::Tensor (*)(Module &module, const at::Tensor &guide, const at::Tensor &x);

    Upsampler(std::shared_ptr<Module> of, Call how) : module(std::move(of)), call(how) {}

    // guide N,guide_channels,H,W, x N,in_channels,h,w -> N,in_channels,H,W. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &guide, const at::Tensor &x) const { return call(*module, guide, x); }
    at::Tensor operator()(const at::Tensor &guide, const at::Tensor &x) const { return forward(guide, x); }

    std::vector<at::Tensor> parameters() const { return module->parameters(); }
    Upsampler clone() const { return {module->clone(), call}; }

    // The module itself: to move it, to train it, to register it in another.
    const std::shared_ptr<Module> &ptr() const { return module; }
    Module &operator*() const { return *module; }
    Module *operator->() const { return module.get(); }

private:
    std::shared_ptr<Module> module;
    Call call;
};

// Of a module's constructor, under their Python names: {{"up_kernel", 3}, {"border", "mask"}}. None is an empty IValue.
using MakeOptions = std::map<std::string, c10::IValue>;

// The upsampler called name, one of upsamplers(): "resfu", "carafe", ... scale_factor: H/h and W/w; none where the
// guide may have any size. Throws c10::Error of an unknown name or option, and of channels or a scale factor that the
// upsampler does not take.
Upsampler make(const std::string &name, int64_t in_channels, int64_t guide_channels, std::optional<double> scale_factor,
               const MakeOptions &options = {});

// All that make() builds.
std::vector<std::string> upsamplers();

}  // namespace upwell::nn
