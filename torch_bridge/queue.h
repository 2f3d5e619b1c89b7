// Torch's current stream and caching allocator as the queue of a call.
#pragma once

#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "torch_threads.h"
#include "torch_warnings.h"
#include "upwell.h"

namespace upwell::bridge {

// Nothing for tensors of the CPU. What a call allocates through it is given back with it, in the order of its stream.
class CallQueue {
public:
    explicit CallQueue(const at::Tensor &like);
    CallQueue(const CallQueue &) = delete;
    CallQueue &operator=(const CallQueue &) = delete;

    const Queue *get() const { return queue ? &*queue : nullptr; }

private:
    std::optional<Queue> queue;
    std::vector<at::Tensor> scratch;
};

// Calls run(queue) with torch's threads and warnings, or the current stream of the device of `like`.
template<class Run> void on_queue(const at::Tensor &like, const Run &run) {
    run_on_torch_threads();
    warn_through_torch();
    const CallQueue queue(like);
    run(queue.get());
}

// Whether kernels for GPUs serve tensors like this one.
bool runs_on_gpu(const at::Tensor &like);

}  // namespace upwell::bridge
