// Where kernels run that are not the processor's: CUDA (cuda.cpp), or in the library made for it OpenCL (opencl.cpp).
#pragma once

#include <deque>
#include <memory>

#include "error.h"
#include "tensor.h"

namespace upwell {

// Makes Halide's calls to the device go through the Call that they belong to.
void install_device();

// A buffer whose tensor lies on the device: its pointer is one of the device.
void place_on_device(halide_buffer_t &buffer);

// The time in which a call's kernel runs.
class OnDevice {
public:
    OnDevice(Call &call, std::deque<Buffer> &buffers);
    ~OnDevice();
    OnDevice(const OnDevice &) = delete;
    OnDevice &operator=(const OnDevice &) = delete;

    // Once the kernel has run without an error.
    void finish(const std::string &name);

private:
    struct State;
    std::unique_ptr<State> state;
};

}  // namespace upwell
