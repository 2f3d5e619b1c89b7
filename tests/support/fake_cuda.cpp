// A CUDA driver without a device, in place of libcuda.so.1: it writes down what it is asked for, and does none of it.
// fake_cuda_calls() gives every call that a test cares about, in order.
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

namespace {

using Result = int;
using Handle = void *;

std::mutex mutex;
std::vector<std::string> calls;
int capability = 90;

Result record(const std::string &call) {
    const std::lock_guard<std::mutex> lock(mutex);
    calls.push_back(call);
    return 0;
}

std::string number(const void *handle) {
    return std::to_string(reinterpret_cast<size_t>(handle));
}

// Device d's context is 100 + d.
thread_local std::vector<Handle> stack;

Handle context_of(int device) {
    return reinterpret_cast<Handle>(static_cast<size_t>(100 + device));
}

}  // namespace

extern "C" {

void fake_cuda_reset(int new_capability) {
    const std::lock_guard<std::mutex> lock(mutex);
    calls.clear();
    capability = new_capability;
}

const std::vector<std::string> *fake_cuda_calls() {
    return &calls;
}

Result cuInit(unsigned) {
    return 0;
}
Result cuDeviceGetCount(int *count) {
    *count = 2;
    return 0;
}
Result cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal < 2 ? 0 : 101;
}
Result cuDevicePrimaryCtxRetain(Handle *context, int device) {
    *context = context_of(device);
    return record("cuDevicePrimaryCtxRetain " + std::to_string(device));
}
Result cuDeviceGetAttribute(int *value, int attribute, int) {
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : 1024;
    return 0;
}
Result cuGetErrorName(Result error, const char **name) {
    *name = error == 101 ? "CUDA_ERROR_INVALID_DEVICE" : "CUDA_ERROR";
    return 0;
}
Result cuCtxPushCurrent_v2(Handle context) {
    stack.push_back(context);
    return 0;
}
Result cuCtxPopCurrent_v2(Handle *context) {
    *context = stack.back();
    stack.pop_back();
    return 0;
}
Result cuCtxGetDevice(int *device) {
    *device = static_cast<int>(reinterpret_cast<size_t>(stack.back())) - 100;
    return 0;
}
Result cuCtxGetApiVersion(Handle, unsigned *version) {
    *version = 4000;
    return 0;
}
Result cuModuleLoadDataEx(Handle *module, const void *image, unsigned options, int *, void **) {
    if (capability < 75) {
        return 222;  // CUDA_ERROR_UNSUPPORTED_PTX_VERSION
    }
    *module = const_cast<void *>(image);
    return record("cuModuleLoadDataEx " + number(stack.back()) + " options " + std::to_string(options));
}
Result cuModuleGetFunction(Handle *function, Handle, const char *name) {
    *function = const_cast<char *>(name);
    return 0;
}
Result cuLaunchKernel(Handle, unsigned, unsigned, unsigned, unsigned threads_x, unsigned threads_y, unsigned threads_z,
                      unsigned shared_bytes, Handle stream, void **, void **) {
    return record("cuLaunchKernel " + number(stack.back()) + " stream " + number(stream) + " threads " +
                  std::to_string(threads_x * threads_y * threads_z) + " shared " + std::to_string(shared_bytes));
}

// What no call of Upwell may do.
#define UPWELL_FORBIDDEN(NAME)                                                                                         \
    Result NAME() {                                                                                                    \
        return record(#NAME);                                                                                          \
    }
UPWELL_FORBIDDEN(cuCtxCreate_v2)
UPWELL_FORBIDDEN(cuCtxDestroy_v2)
UPWELL_FORBIDDEN(cuCtxSynchronize)
UPWELL_FORBIDDEN(cuDeviceGetName)
UPWELL_FORBIDDEN(cuDeviceTotalMem_v2)
UPWELL_FORBIDDEN(cuMemAlloc_v2)
UPWELL_FORBIDDEN(cuMemFree_v2)
UPWELL_FORBIDDEN(cuMemcpy3D_v2)
UPWELL_FORBIDDEN(cuMemcpyDtoD_v2)
UPWELL_FORBIDDEN(cuMemcpyDtoDAsync_v2)
UPWELL_FORBIDDEN(cuMemcpyDtoH_v2)
UPWELL_FORBIDDEN(cuMemcpyDtoHAsync_v2)
UPWELL_FORBIDDEN(cuMemcpyHtoD_v2)
UPWELL_FORBIDDEN(cuMemcpyHtoDAsync_v2)
UPWELL_FORBIDDEN(cuModuleLoadData)
UPWELL_FORBIDDEN(cuModuleUnload)
UPWELL_FORBIDDEN(cuPointerGetAttribute)
UPWELL_FORBIDDEN(cuProfilerStop)
UPWELL_FORBIDDEN(cuStreamSynchronize)
}
