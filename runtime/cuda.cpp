// CUDA: the caller's device, stream and memory, through the Call that is every kernel's user_context.
#include <string>

#include <HalideRuntimeCuda.h>

#include "cuda_driver.h"
#include "device.h"

namespace upwell {
namespace {

constexpr int least_capability = 75;  // what kernels are compiled for (variants.cmake)

const Queue *queue_of(void *user_context) {
    return user_context ? static_cast<Call *>(user_context)->queue : nullptr;
}

// Runs f, which may throw, where nothing may: exceptions go to the Call.
template<class F> int guarded(void *user_context, F f) {
    try {
        f(*queue_of(user_context));
        return halide_error_code_success;
    } catch (...) {
        static_cast<Call *>(user_context)->fail(std::current_exception());
        return halide_error_code_generic_error;
    }
}

// Without a call there is no device to speak of: so ends Halide's clean-up at exit, when the driver may be gone.
int acquire_context(void *user_context, void **context, bool) {
    *context = nullptr;
    if (!queue_of(user_context)) {
        return halide_error_code_success;
    }
    return guarded(user_context, [&](const Queue &queue) { *context = cuda::primary_context(queue.device); });
}

int release_context(void *) {
    return halide_error_code_success;
}

int get_stream(void *user_context, void *, void **stream) {
    *stream = queue_of(user_context) ? queue_of(user_context)->stream : nullptr;
    return halide_error_code_success;
}

thread_local Call *running = nullptr;  // on this thread, on a device

// In place of cuModuleLoadDataEx. Halide asks for at most 64 registers a thread, where schedules are made for up to
// 255.
cuda::Result load_module(void **module, const void *image, unsigned, int *, void **) {
    const cuda::Result result = cuda::load_module(module, image);
    const int capability = result == 0 ? least_capability : cuda::compute_capability();
    if (running && 0 < capability && capability < least_capability) {
        running->fail("needs a device of compute capability 7.5 or later, but device " +
                      std::to_string(running->queue->device) + " has " + std::to_string(capability / 10) + "." +
                      std::to_string(capability % 10));
    }
    return result;
}

// Halide asks for libcuda.so, which only a development package has.
void *load_library(const char *name) {
    return std::string(name) == "libcuda.so" ? cuda::library() : halide_default_load_library(name);
}

// Where Halide finds the driver's functions.
void *find_symbol(void *library, const char *name) {
    const bool loads = std::string(name) == "cuModuleLoadDataEx";
    return loads ? reinterpret_cast<void *>(load_module) : halide_default_get_library_symbol(library, name);
}

}  // namespace

void install_device() {
    halide_set_custom_load_library(load_library);
    halide_set_custom_get_library_symbol(find_symbol);
    halide_set_cuda_acquire_context(acquire_context);
    halide_set_cuda_release_context(release_context);
    halide_set_cuda_get_stream(get_stream);
}

// The host's pointer stays, though nobody follows it: a kernel whose output is written in updates only refuses a buffer
// without one.
void place_on_device(halide_buffer_t &buffer) {
    buffer.device = reinterpret_cast<uintptr_t>(buffer.host);
    buffer.device_interface = halide_cuda_device_interface();
}

struct OnDevice::State {};

OnDevice::OnDevice(Call &call, std::deque<Buffer> &) {
    running = call.queue ? &call : nullptr;
}

OnDevice::~OnDevice() {
    running = nullptr;
}

void OnDevice::finish(const std::string &) {}

Backend backend(bool with_queue) {
    return with_queue ? Backend::Cuda : Backend::Cpu;
}

}  // namespace upwell

// In place of Halide's own: what a kernel keeps between its launches lies in the caller's memory, which takes all of it
// back after the call, in the order of its stream.
extern "C" int halide_device_malloc(void *user_context, halide_buffer_t *buffer,
                                    const halide_device_interface_t *interface) {
    if (buffer->device) {
        return halide_error_code_success;
    }
    return upwell::guarded(user_context, [&](const upwell::Queue &queue) {
        upwell::Scratch &scratch = static_cast<upwell::Call *>(user_context)->scratch;
        buffer->device = reinterpret_cast<uintptr_t>(scratch.take(queue, buffer->size_in_bytes()));
        buffer->device_interface = interface;
    });
}

extern "C" int halide_device_free(void *user_context, halide_buffer_t *buffer) {
    if (user_context && buffer->device) {
        static_cast<upwell::Call *>(user_context)
            ->scratch.give_back(reinterpret_cast<void *>(buffer->device), buffer->size_in_bytes());
    }
    buffer->device = 0;
    buffer->device_interface = nullptr;
    return halide_error_code_success;
}
