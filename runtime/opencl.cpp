// OpenCL, for tests of GPU schedules where there is no GPU: every tensor of a call is copied to the device and back.
// Buffers lie between guards there, so that a kernel that writes outside of one fails, and one that reads outside finds
// nan. With UPWELL_OPENCL_ORDER=reversed, blocks and threads of a kernel take the opposite places in its grid: an
// answer that depends on their order changes.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <regex>

#include <HalideRuntimeOpenCL.h>
#include <dlfcn.h>

#include "device.h"

namespace upwell {
namespace {

constexpr uint8_t guard_byte = 0xff;      // nan in every type
constexpr int32_t guard_bytes = 1 << 12;  // at least what a part of a device's buffer has to be aligned to

// In place of a tensor's host memory: a kernel that follows it crashes. (One whose output is written in updates only
// refuses a buffer without a host pointer.)
uint8_t *const nowhere = reinterpret_cast<uint8_t *>(guard_bytes);

// cl_program clCreateProgramWithSource(cl_context, cl_uint count, const char **strings, const size_t *lengths, cl_int
// *)
using CreateProgram = void *(*)(void *, unsigned, const char **, const size_t *, int *);
CreateProgram create_program = nullptr;

void *create_reversed_program(void *context, unsigned count, const char **strings, const size_t *lengths, int *error) {
    std::string source;
    for (unsigned i = 0; i < count; i++) {
        source += lengths && lengths[i] ? std::string(strings[i], lengths[i]) : std::string(strings[i]);
    }
    source = std::regex_replace(source, std::regex("get_group_id\\((\\d)\\)"),
                                "(get_num_groups($1) - 1 - get_group_id($1))");
    source = std::regex_replace(source, std::regex("get_local_id\\((\\d)\\)"),
                                "(get_local_size($1) - 1 - get_local_id($1))");
    const char *text = source.c_str();
    return create_program(context, 1, &text, nullptr, error);
}

// Halide asks for libOpenCL.so, which only a development package has.
void *load_library(const char *name) {
    return std::string(name) == "libOpenCL.so" ? dlopen("libOpenCL.so.1", RTLD_NOW) : halide_default_load_library(name);
}

void *find_symbol(void *library, const char *name) {
    void *const symbol = halide_default_get_library_symbol(library, name);
    const char *const order = std::getenv("UPWELL_OPENCL_ORDER");
    if (symbol && order && std::string(order) == "reversed" && std::string(name) == "clCreateProgramWithSource") {
        create_program = reinterpret_cast<CreateProgram>(symbol);
        return reinterpret_cast<void *>(create_reversed_program);
    }
    return symbol;
}

halide_dimension_t bytes_from(int32_t min, int32_t extent) {
    return {min, extent, 1};
}

// A tensor's copy on the device.
class Copy {
public:
    explicit Copy(halide_buffer_t &tensor)
        : tensor(tensor), host(tensor.host), size(tensor.size_in_bytes()), bytes(size + 2 * guard_bytes, guard_byte),
          whole_extent(bytes_from(0, static_cast<int32_t>(bytes.size()))),
          inner_extent(bytes_from(guard_bytes, std::max(1, static_cast<int32_t>(size)))) {
        std::memcpy(bytes.data() + guard_bytes, host, size);
        whole.type = inner.type = halide_type_t(halide_type_uint, 8);
        whole.dimensions = inner.dimensions = 1;
        whole.dim = &whole_extent;
        inner.dim = &inner_extent;
        whole.host = bytes.data();
        whole.set_host_dirty(true);
        halide_copy_to_device(nullptr, &whole, halide_opencl_device_interface());
        halide_device_crop(nullptr, &whole, &inner);
        tensor.device = inner.device;
        tensor.device_interface = inner.device_interface;
        tensor.host = nowhere;
    }
    Copy(const Copy &) = delete;
    Copy &operator=(const Copy &) = delete;
    ~Copy() {
        tensor.device = 0;
        tensor.device_interface = nullptr;
        tensor.host = host;
        halide_device_release_crop(nullptr, &inner);
        halide_device_free(nullptr, &whole);
    }

    // Of what the kernel wrote. False where something was written around the tensor.
    bool copy_back() {
        whole.set_device_dirty(true);
        halide_copy_to_host(nullptr, &whole);
        if (tensor.device_dirty()) {
            std::memcpy(host, bytes.data() + guard_bytes, size);
        }
        const auto is_guard = [](uint8_t byte) { return byte == guard_byte; };
        return std::all_of(bytes.begin(), bytes.begin() + guard_bytes, is_guard) &&
               std::all_of(bytes.end() - guard_bytes, bytes.end(), is_guard);
    }

private:
    halide_buffer_t &tensor;
    uint8_t *const host;
    const size_t size;
    std::vector<uint8_t> bytes;
    halide_dimension_t whole_extent, inner_extent;
    halide_buffer_t whole{}, inner{};
};

}  // namespace

void install_device() {
    halide_set_custom_load_library(load_library);
    halide_set_custom_get_library_symbol(find_symbol);
}

void place_on_device(halide_buffer_t &) {
    throw Error("upwell", "queue", "should be absent: this library runs kernels on tensors in host memory");
}

struct OnDevice::State {
    std::deque<Copy> copies;
};

OnDevice::OnDevice(Call &, std::deque<Buffer> &buffers) : state(std::make_unique<State>()) {
    for (Buffer &buffer : buffers) {
        state->copies.emplace_back(*buffer.get());
    }
}

OnDevice::~OnDevice() = default;

void OnDevice::finish(const std::string &name) {
    for (Copy &copy : state->copies) {
        if (!copy.copy_back()) {
            throw Error(name, "", "wrote outside of its buffers");
        }
    }
}

Backend backend(bool) {
    return Backend::OpenCl;
}

CompileCost compile_cost() {
    return {};
}

}  // namespace upwell
