// What a call with a queue asks of the CUDA driver, seen by a driver that only writes it down (support/fake_cuda.cpp).
#include <algorithm>
#include <map>

#include "support/catch.h"
#include "support/map.h"
#include "window_operators.h"

using namespace upwell;
using test::run_in_order;

extern "C" {
void fake_cuda_reset(int capability);
const std::vector<std::string> *fake_cuda_calls();
}

namespace {

// Addresses of a device that nothing may read.
class Device {
public:
    void *allocate(size_t bytes) {
        void *const address = reinterpret_cast<void *>(next);
        next += (bytes + 255) / 256 * 256;
        return address;
    }

    Tensor tensor(std::vector<int64_t> sizes, Dtype dtype = Dtype::Float32) {
        size_t elements = 1;
        for (const int64_t size : sizes) {
            elements *= static_cast<size_t>(size);
        }
        return {allocate(8 * elements), dtype, std::move(sizes), {}};
    }

    Queue queue(int device, size_t stream) {
        Queue q;
        q.device = device;
        q.stream = reinterpret_cast<void *>(stream);
        q.allocate = [this](size_t bytes) {
            allocations++;
            largest_allocation = std::max(largest_allocation, bytes);
            return allocate(bytes);
        };
        q.upload = [this](const void *, size_t bytes) {
            uploads++;
            return allocate(bytes);
        };
        q.download = [this](void *to, const void *, size_t bytes) {
            std::fill_n(static_cast<float *>(to), bytes / sizeof(float), downloads++ < 2 ? 1.0f : 2.0f);
        };
        return q;
    }

    int allocations = 0, uploads = 0, downloads = 0;
    size_t largest_allocation = 0;

private:
    uintptr_t next = 0x10000;
};

std::vector<std::string> calls_of(const std::string &function) {
    std::vector<std::string> found;
    std::copy_if(fake_cuda_calls()->begin(), fake_cuda_calls()->end(), std::back_inserter(found),
                 [&](const std::string &call) { return call.rfind(function, 0) == 0; });
    return found;
}

// Every direction of fns, to H x W.
void run_fns(Device &device, const Queue &queue, int64_t H, int64_t W, Dtype dtype = Dtype::Float32) {
    const Tensor value = device.tensor({2, 5, 4, 6}, dtype), logits = device.tensor({2, 9, H, W}, wide(dtype)),
                 output = device.tensor({2, 5, H, W}, dtype);
    run_in_order("fns", {3}, {value, logits}, output, &queue);
    run_in_order("fns_d_value", {3}, {output, logits}, value, &queue);
    run_in_order("fns_d_logits", {3}, {output, value, logits}, device.tensor({2, 9, H, W}, wide(dtype)), &queue);
}

void check_only_launches(const std::string &context_and_stream) {
    for (const std::string &call : *fake_cuda_calls()) {
        CAPTURE(call);
        const bool is_set_up =
            call.rfind("cuDevicePrimaryCtxRetain", 0) == 0 || call.rfind("cuModuleLoadDataEx", 0) == 0;
        const bool is_launch = call.rfind("cuLaunchKernel " + context_and_stream + " ", 0) == 0;
        CHECK((is_set_up || is_launch));
    }
}

}  // namespace

TEST_CASE("a call with a queue only launches, on its device and stream", "[cuda]") {
    Device device;
    for (const int ordinal : {0, 1}) {
        for (const int64_t width : {24, 25}) {
            fake_cuda_reset(90);
            run_fns(device, device.queue(ordinal, 7777), 16, width);
            CHECK(calls_of("cuLaunchKernel").size() >= 3);
            check_only_launches(std::to_string(100 + ordinal) + " stream 7777");
        }
    }
    CHECK(device.uploads > 0);
}

TEST_CASE("kernels are loaded once for a device, with all registers, and the time is reported", "[cuda]") {
    Device device;
    run_fns(device, device.queue(0, 1), 8, 12);
    const CompileCost before = compile_cost();
    CHECK(before.modules > 0);
    CHECK(before.seconds > 0);
    fake_cuda_reset(90);
    run_fns(device, device.queue(0, 2), 8, 12);
    CHECK(calls_of("cuModuleLoadDataEx").empty());
    CHECK(compile_cost().modules == before.modules);
    run_fns(device, device.queue(1, 2), 8, 12);
    for (const std::string &call : calls_of("cuModuleLoadDataEx")) {
        CHECK(call.find("options 0") != std::string::npos);
    }
}

TEST_CASE("blocks fit every device: threads, shared memory", "[cuda]") {
    Device device;
    fake_cuda_reset(90);
    run_fns(device, device.queue(0, 1), 16, 24);
    run_fns(device, device.queue(0, 1), 17, 25, Dtype::Float64);
    for (const std::string &call : calls_of("cuLaunchKernel")) {
        CAPTURE(call);
        const int threads = std::stoi(call.substr(call.find("threads ") + 8));
        const int shared = std::stoi(call.substr(call.find("shared ") + 7));
        CHECK(threads <= 1024);
        CHECK(shared <= 48 * 1024);
    }
}

namespace {

// The guided filter on so many planes of 1500 x 1500, each a chunk of its own.
void run_guided_filter(Device &device, int64_t planes, const Queue &queue) {
    const int64_t low = 100, high = 1500;
    const auto table = [&](int64_t size, Dtype dtype) { return Argument(device.tensor({size}, dtype)); };
    std::vector<Argument> arguments{device.tensor({planes, high, high}), device.tensor({planes, low, low})};
    for (int i = 0; i < 4; i++) {
        arguments.push_back(table(high, Dtype::Int32));
        arguments.push_back(table(high, Dtype::Float32));
    }
    arguments.insert(arguments.end(), {int64_t(2), int64_t(1), 1e-3, device.tensor({planes, high, high})});
    run_kernel("guided_filter", Dtype::Float32, arguments, &queue);
}

}  // namespace

TEST_CASE("scratch comes from the queue, and is used again by the launches that follow", "[cuda]") {
    Device device;
    fake_cuda_reset(90);
    run_guided_filter(device, 1, device.queue(0, 5));
    const int of_one = device.allocations;
    const size_t launches = calls_of("cuLaunchKernel").size();
    CHECK(of_one > 0);
    run_guided_filter(device, 7, device.queue(0, 5));
    CHECK(device.allocations == 2 * of_one);
    CHECK(calls_of("cuLaunchKernel").size() > 4 * launches);
    check_only_launches("100 stream 5");
}

TEST_CASE("the gradient of a large batch goes in parts, so that its scratch stays below 1 GiB", "[cuda]") {
    Device device;
    fake_cuda_reset(90);
    const Tensor d_output = device.tensor({9, 1, 2048, 2048}), logits = device.tensor({9, 9, 2048, 2048}),
                 d_value = device.tensor({9, 1, 512, 512});
    const Queue queue = device.queue(0, 1);
    run_in_order("fns_d_value", {3}, {d_output, logits}, d_value, &queue);
    CHECK(device.allocations == 3);
    CHECK(device.largest_allocation <= size_t(1) << 30);
}

TEST_CASE("the exact solver looks at a device every fourth step, and without a tolerance never", "[cuda]") {
    Device device;
    static std::vector<std::string> warnings;
    set_warning_handler([](const std::string &message) { warnings.push_back(message); });
    const auto solve = [&](const Queue &queue, double tolerance) {
        device.downloads = 0;
        run("wrc_exact",
            {{"precision", device.tensor({2, 3, 8, 10})},
             {"weighted", device.tensor({2, 3, 8, 10})},
             {"data_weight", device.tensor({2, 3, 4, 5})},
             {"data", device.tensor({2, 3, 4, 5})},
             {"weight", device.tensor({3, 3, 3})},
             {"scale", 2},
             {"tolerance", tolerance},
             {"max_iterations", 10},
             {"output", device.tensor({2, 3, 8, 10})}},
            &queue);
    };
    fake_cuda_reset(90);
    solve(device.queue(0, 5), 1e-4);
    // Squares and limits are 1, and those of residuals 2 whenever they are looked at: after 4, 8 and 10 steps.
    CHECK(device.downloads == 5);
    CHECK(warnings ==
          std::vector<std::string>{
              "wrc_exact: the relative residual is still 1.41421 after 10 iterations; the tolerance is 0.0001; "
              "max_iterations or tolerance should be larger"});
    Queue silent = device.queue(0, 5);
    silent.download = nullptr;
    solve(silent, 0);
    CHECK(device.downloads == 0);
    CHECK_THROWS_WITH(solve(silent, 1e-4), "wrc_exact: queue should have download, or the tolerance should be 0");
    check_only_launches("100 stream 5");
    CHECK(warnings.size() == 1);
    set_warning_handler(nullptr);
}

TEST_CASE("scratch that cannot be had is an error of the call, and the next call works", "[cuda]") {
    Device device;
    Queue queue = device.queue(0, 1);
    const auto fail = [](auto...) -> void * { throw std::runtime_error("out of memory"); };
    queue.upload = fail;
    CHECK_THROWS_WITH(run_fns(device, queue, 17, 25), "out of memory");
    queue.allocate = fail;
    CHECK_THROWS_WITH(run_guided_filter(device, 2, queue), "out of memory");
    run_guided_filter(device, 2, device.queue(0, 1));
}

TEST_CASE("a device that is not there is named", "[cuda]") {
    Device device;
    CHECK_THROWS_WITH(run_fns(device, device.queue(2, 1), 16, 24),
                      "upwell: device 2 cannot be used: cuDeviceGet says CUDA_ERROR_INVALID_DEVICE");
}

TEST_CASE("a device that is too old is told so", "[cuda]") {
    Device device;
    fake_cuda_reset(61);
    const Tensor value = device.tensor({1, 2, 3, 3}), output = device.tensor({1, 2, 7, 7});
    const Queue queue = device.queue(1, 1);
    CHECK_THROWS_WITH(run_in_order("nearest", {}, {value}, output, &queue),
                      "nearest: needs a device of compute capability 7.5 or later, but device 1 has 6.1");
    fake_cuda_reset(90);
    run_in_order("nearest", {}, {value}, output, &queue);
    CHECK(calls_of("cuLaunchKernel").size() == 1);
}
