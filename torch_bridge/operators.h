// The operators as C++ functions on torch tensors: torch.ops.upwell.*, differentiable.
//
// value: N,C,h,w low-res. Output: N,C,H,W, contiguous. float32 or float64. Throw c10::Error on bad input.
#pragma once

#include <optional>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace upwell::ops {

using at::Tensor;

// logits: N,K*K,H,W. mask_ratio: high-res pixels between taps where the border mask is found; none: the true ratio.
Tensor fns(const Tensor &value, const Tensor &logits, int64_t kernel, std::optional<int64_t> mask_ratio = std::nullopt);
Tensor fns_d_value(const Tensor &d_output, const Tensor &logits, c10::SymInt h, c10::SymInt w, int64_t kernel,
                   std::optional<int64_t> mask_ratio = std::nullopt);
Tensor fns_d_logits(const Tensor &d_output, const Tensor &value, const Tensor &logits, int64_t kernel,
                    std::optional<int64_t> mask_ratio = std::nullopt);

// logits: N,groups*K*K,H,W. border: "zero" or "mask".
Tensor carafe(const Tensor &value, const Tensor &logits, int64_t kernel, int64_t groups = 1,
              std::string_view border = "zero");
Tensor carafe_d_value(const Tensor &d_output, const Tensor &logits, c10::SymInt h, c10::SymInt w, int64_t kernel,
                      int64_t groups = 1, std::string_view border = "zero");
Tensor carafe_d_logits(const Tensor &d_output, const Tensor &value, const Tensor &logits, int64_t kernel,
                       int64_t groups = 1, std::string_view border = "zero");

// weight: N,groups*K*K,H,W, used as given.
Tensor carafe_reassembly(const Tensor &value, const Tensor &weight, int64_t kernel, int64_t groups = 1);
Tensor carafe_reassembly_d_value(const Tensor &d_output, const Tensor &weight, c10::SymInt h, c10::SymInt w,
                                 int64_t kernel, int64_t groups = 1);
Tensor carafe_reassembly_d_weight(const Tensor &d_output, const Tensor &value, const Tensor &weight, int64_t kernel,
                                  int64_t groups = 1);

// size: H,W of the output; of the d_value functions: h,w of the value.
Tensor bilinear(const Tensor &value, c10::SymIntArrayRef size);
Tensor bilinear_d_value(const Tensor &d_output, c10::SymIntArrayRef size);
Tensor nearest(const Tensor &value, c10::SymIntArrayRef size);
Tensor nearest_d_value(const Tensor &d_output, c10::SymIntArrayRef size);

}  // namespace upwell::ops
