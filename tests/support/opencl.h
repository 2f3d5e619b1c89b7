// OpenCL, on which GPU schedules run without a GPU (on a CPU where PoCL is installed).
#pragma once

#include <dlfcn.h>

#include "Halide.h"

namespace upwell::test {

// Platforms that OpenCL's loader finds. The loader stays in the process, where Halide looks for it first.
inline unsigned opencl_platforms() {
    void *loader = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_GLOBAL);
    void *symbol = loader ? dlsym(loader, "clGetPlatformIDs") : nullptr;
    unsigned count = 0;
    if (symbol) {
        // cl_int clGetPlatformIDs(cl_uint num_entries, cl_platform_id *platforms, cl_uint *num_platforms)
        reinterpret_cast<int (*)(unsigned, void *, unsigned *)>(symbol)(0, nullptr, &count);
    }
    return count;
}

inline Halide::Target opencl() {
    return Halide::get_host_target().with_feature(Halide::Target::OpenCL).with_feature(Halide::Target::CLDoubles);
}

}  // namespace upwell::test
