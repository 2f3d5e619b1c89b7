// Where a kernel will run, and the schedule that places its stages there.
#pragma once

#include <stdexcept>

#include "Halide.h"

namespace upwell {

// By: the schedules written by hand, the plainest ones that end, or one of Halide's autoschedulers.
enum class Scheduled { ByHand, Plainly, Automatically };

struct Where {
    Halide::Target target;
    Scheduled scheduled;

    bool on_gpu() const { return target.has_gpu_feature(); }
};

// Calls schedule_on_gpu(arguments...), for CUDA or OpenCL, or schedule_on_cpu(arguments..., target). Arguments: the
// parts of an algorithm, and the knobs if its schedules have any. A form that only one of them knows has only one of
// the two.
template<class... Arguments> void place(const Where &where, Arguments &&...arguments) {
    constexpr bool has_gpu = requires {
        schedule_on_gpu(arguments...);
    };
    constexpr bool has_cpu = requires {
        schedule_on_cpu(arguments..., where.target);
    };
    static_assert(has_gpu || has_cpu, "no schedule takes these parts");
    if constexpr (has_gpu) {
        if (where.on_gpu()) {
            schedule_on_gpu(arguments...);
            return;
        }
    }
    if constexpr (has_cpu) {
        if (!where.on_gpu()) {
            schedule_on_cpu(arguments..., where.target);
            return;
        }
    }
    throw std::logic_error("no schedule for this form on " + where.target.to_string());
}

}  // namespace upwell
