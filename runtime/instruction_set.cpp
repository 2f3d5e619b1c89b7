// What this processor can run, and the limit put on it.
#include "instruction_set.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include <HalideRuntime.h>

#include "processor.h"

namespace upwell {
namespace {

InstructionSet limit_from_environment() {
    const char *const variable = std::getenv("UPWELL_INSTRUCTION_SET");
    if (!variable) {
        return InstructionSet::Avx512;
    }
    for (const InstructionSet set : {InstructionSet::Baseline, InstructionSet::Avx2, InstructionSet::Avx512}) {
        if (std::string(variable) == name(set)) {
            return set;
        }
    }
    throw Error("upwell", "UPWELL_INSTRUCTION_SET",
                "should be baseline, avx2 or avx512 but is " + std::string(variable));
}

std::atomic<InstructionSet> &limit() {
    static std::atomic<InstructionSet> value{limit_from_environment()};
    return value;
}

bool names(const uint64_t *features, halide_target_feature_t feature) {
    return features[feature / 64] >> (feature % 64) & 1;
}

int can_use(int, const uint64_t *features) {
    const InstructionSet needed = names(features, halide_target_feature_avx512) ? InstructionSet::Avx512
                                  : names(features, halide_target_feature_avx2) ? InstructionSet::Avx2
                                                                                : InstructionSet::Baseline;
    return needed <= instruction_set();
}

}  // namespace

InstructionSet instruction_set() {
    static const InstructionSet here = processor();
    return std::min(here, limit().load());
}

void limit_instruction_set(InstructionSet most) {
    limit() = most;
}

const char *name(InstructionSet set) {
    switch (set) {
    case InstructionSet::Baseline:
        return "baseline";
    case InstructionSet::Avx2:
        return "avx2";
    case InstructionSet::Avx512:
        return "avx512";
    }
    return "";
}

const char *name(Backend backend) {
    return backend == Backend::Cpu ? "cpu" : backend == Backend::Cuda ? "cuda" : "opencl";
}

// The kernels are compiled for the three sets above and no others, and this also asks whether the operating
// system saves the registers, which Halide's own check does not.
void install_instruction_set() {
    halide_set_custom_can_use_target_features(can_use);
}

}  // namespace upwell
