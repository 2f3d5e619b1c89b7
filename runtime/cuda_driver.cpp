#include "cuda_driver.h"

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>

#include <dlfcn.h>

#include "upwell.h"

namespace upwell::cuda {
namespace {

using Clock = std::chrono::steady_clock;
using Device = int;

constexpr Result unknown = 999;  // CUDA_ERROR_UNKNOWN

// Calls a function of the driver; unknown where there is none of this name.
template<class... Arguments> Result call(const char *name, Arguments... arguments) {
    void *const symbol = library() ? dlsym(library(), name) : nullptr;
    return symbol ? reinterpret_cast<Result (*)(Arguments...)>(symbol)(arguments...) : unknown;
}

void check(Result result, const char *function, int device) {
    if (result != 0) {
        throw Error("upwell", "device",
                    std::to_string(device) + " cannot be used: " + function + " says " + error_name(result));
    }
}

Context retain_primary_context(int ordinal) {
    if (!library()) {
        throw Error("upwell", "device", "cannot be used: libcuda.so.1, the CUDA driver, is not there");
    }
    Device device = 0;
    Context context = nullptr;
    check(call("cuInit", 0U), "cuInit", ordinal);
    check(call("cuDeviceGet", &device, ordinal), "cuDeviceGet", ordinal);
    check(call("cuDevicePrimaryCtxRetain", &context, device), "cuDevicePrimaryCtxRetain", ordinal);
    return context;
}

std::atomic<int64_t> modules{0}, nanoseconds{0};

}  // namespace

void *library() {
    static void *const handle = dlopen("libcuda.so.1", RTLD_NOW);
    return handle;
}

Context primary_context(int device) {
    static std::mutex mutex;
    static std::map<int, Context> contexts;  // never released, as torch's own
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = contexts.find(device);
    return found != contexts.end() ? found->second : contexts[device] = retain_primary_context(device);
}

int compute_capability() {
    constexpr int major_attribute = 75, minor_attribute = 76;
    Device device = 0;
    int major = 0, minor = 0;
    call("cuCtxGetDevice", &device);
    call("cuDeviceGetAttribute", &major, major_attribute, device);
    call("cuDeviceGetAttribute", &minor, minor_attribute, device);
    return 10 * major + minor;
}

Result load_module(void **module, const void *image) {
    const auto start = Clock::now();
    const Result result =
        call("cuModuleLoadDataEx", module, image, 0U, static_cast<int *>(nullptr), static_cast<void **>(nullptr));
    nanoseconds += std::chrono::nanoseconds(Clock::now() - start).count();
    modules++;
    return result;
}

std::string error_name(Result result) {
    const char *name = nullptr;
    call("cuGetErrorName", result, &name);
    return name ? name : "error " + std::to_string(result);
}

}  // namespace upwell::cuda

namespace upwell {

CompileCost compile_cost() {
    return {cuda::modules, static_cast<double>(cuda::nanoseconds) * 1e-9};
}

}  // namespace upwell
