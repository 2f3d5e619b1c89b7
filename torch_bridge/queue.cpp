#include "queue.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "table.h"

namespace upwell::bridge {

// VirtualGuardImpl speaks to whichever torch is loaded, so that one library serves CPU and CUDA builds of it.
CallQueue::CallQueue(const at::Tensor &like) {
    if (!like.is_cuda()) {
        return;
    }
    const at::Device device = like.device();
    const c10::impl::VirtualGuardImpl cuda(device.type());
    queue.emplace();
    queue->device = device.index();
    queue->stream = cuda.getStreamNativeHandle(cuda.getStream(device));
    queue->allocate = [this, device](size_t bytes) {
        const auto options = at::TensorOptions().dtype(at::kByte).device(device);
        return scratch.emplace_back(at::empty({static_cast<int64_t>(bytes)}, options)).mutable_data_ptr();
    };
    queue->upload = [device](const void *data, size_t bytes) {
        return device_bytes(data, bytes, device).mutable_data_ptr();
    };
    queue->download = [device](void *to, const void *from, size_t bytes) {
        const std::vector<int64_t> sizes{static_cast<int64_t>(bytes)};
        const at::Tensor there = at::for_blob(const_cast<void *>(from), sizes)
                                     .options(at::TensorOptions().dtype(at::kByte).device(device))
                                     .target_device(device)
                                     .make_tensor();
        at::from_blob(to, sizes, at::kByte).copy_(there);  // blocks
    };
}

bool runs_on_gpu(const at::Tensor &like) {
    return backend(like.is_cuda()) != Backend::Cpu;
}

}  // namespace upwell::bridge
