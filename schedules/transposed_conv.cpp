// Which schedule of the transposed convolution serves a target.
#include "transposed_conv.h"

namespace upwell::transposed_conv {

namespace {

template<class Parts> void schedule_on(Parts &parts, const Halide::Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(parts);
    } else {
        schedule_on_cpu(parts, target);
    }
}

}  // namespace

SumSizes sum_sizes(Halide::Type type, const Halide::Target &target) {
    return {target.has_gpu_feature() ? 32 : target.natural_vector_size(type), 32};
}

void schedule(Forward &f, const Halide::Target &target) {
    schedule_on(f, target);
}

void schedule(DInput &d, const Halide::Target &target) {
    schedule_on(d, target);
}

void schedule(DWeight &d, const Halide::Target &target) {
    schedule_on(d, target);
}

void schedule_plainly(Forward &f) {
    f.sum.compute_root();
}

void schedule_plainly(DInput &d) {
    d.sum.compute_root();
}

void schedule_plainly(DWeight &d) {
    d.lane_sums.compute_root();
    d.strip_sums.compute_root();
    d.sums.compute_root();
}

}  // namespace upwell::transposed_conv
