// The best of the instruction sets that kernels are compiled for, of the processor that this runs on. The operating system
// has to save the registers too, which __builtin_cpu_supports asks.
#pragma once

#include "upwell.h"

namespace upwell {

inline InstructionSet processor() {
    __builtin_cpu_init();
    const auto all = [](auto... has) { return (has && ...); };
    if (!all(__builtin_cpu_supports("avx2"), __builtin_cpu_supports("fma"), __builtin_cpu_supports("f16c"))) {
        return InstructionSet::Baseline;
    }
    const bool avx512 =
        all(__builtin_cpu_supports("avx512f"), __builtin_cpu_supports("avx512cd"), __builtin_cpu_supports("avx512vl"),
            __builtin_cpu_supports("avx512bw"), __builtin_cpu_supports("avx512dq"));
    return avx512 ? InstructionSet::Avx512 : InstructionSet::Avx2;
}

}  // namespace upwell
