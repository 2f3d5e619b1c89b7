// What torch.autocast does to the operators that are not described (operators/window.cpp has those). All that finds
// statistics, a variance or scores stays in float32. The transposed convolution is a convolution as torch's.
#include <ATen/autocast_mode.h>
#include <torch/library.h>

#include "dispatch.h"
#include "operators.h"

namespace upwell::bridge {
namespace {

using at::Tensor;
using at::autocast::cached_cast;

// Below autocast, as every operator that it knows.
struct Below {
    c10::impl::ExcludeDispatchKeyGuard guard{c10::autocast_dispatch_keyset};
};

// An operator whose tensors are all in float32.
template<auto op, at::DeviceType device> struct Float;
template<class Result, class... Arguments, Result (*op)(Arguments...), at::DeviceType device> struct Float<op, device> {
    static Result call(Arguments... arguments) {
        const Below below;
        return op(cached_cast(at::kFloat, arguments, device)...);
    }
};

// An operator whose tensors are all in autocast's dtype.
template<auto op, at::DeviceType device> struct Narrow;
template<class Result, class... Arguments, Result (*op)(Arguments...), at::DeviceType device>
struct Narrow<op, device> {
    static Result call(Arguments... arguments) {
        const Below below;
        return op(cached_cast(at::autocast::get_autocast_dtype(device), arguments, device)...);
    }
};

template<at::DeviceType device> void implement(torch::Library &m) {
    m.impl("guided_filter", &Float<&ops::guided_filter, device>::call);
    m.impl("group_stats", &Float<&ops::group_stats, device>::call);
    m.impl("upsampled_group_stats", &Float<&ops::upsampled_group_stats, device>::call);
    m.impl("pcdc", &Float<&ops::pcdc, device>::call);
    m.impl("pcdc_scores", &Float<&ops::pcdc_scores, device>::call);
    m.impl("merge_kernels", &Narrow<&ops::merge_kernels, device>::call);
    m.impl("transposed_conv", &Narrow<&ops::transposed_conv, device>::call);
    m.impl("wrc_data", &Float<&ops::wrc_data, device>::call);
    m.impl("wrc_exact", &Float<&ops::wrc_exact, device>::call);
    m.impl("wrc_prior", &Float<&ops::wrc_prior, device>::call);
    m.impl("wrc_spectral", &Float<&ops::wrc_spectral, device>::call);
}

}  // namespace

TORCH_LIBRARY_IMPL(upwell, AutocastCPU, m) {
    implement<at::kCPU>(m);
}
TORCH_LIBRARY_IMPL(upwell, AutocastCUDA, m) {
    implement<at::kCUDA>(m);
}

}  // namespace upwell::bridge
