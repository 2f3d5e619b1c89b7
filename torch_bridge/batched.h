// torch.func.vmap of an operator: one call, in which the mapped dimension is part of the batch.
#pragma once

#include <ATen/core/boxing/KernelFunction.h>

#include "operators/arguments.h"

namespace upwell::bridge {

class Batched : public c10::OperatorKernel {
public:
    Batched(const Operator &op, bool with_kept);
    void operator()(const c10::OperatorHandle &handle, c10::DispatchKeySet keys, torch::jit::Stack *stack);

private:
    const Operator &op;
    int letter;                   // of the batch, the first size of the first input
    std::vector<int> of_outputs;  // where each output has it; -1: it is no size of its own
    bool has_batches;             // all outputs have it
};

}  // namespace upwell::bridge
