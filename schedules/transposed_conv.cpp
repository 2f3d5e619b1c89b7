// The sizes of the transposed convolution's sums, and its plain schedules.
#include "schedules/transposed_conv.h"

namespace upwell::transposed_conv {

SumSizes sum_sizes(Halide::Type type, const Where &where) {
    return {where.on_gpu() ? 32 : where.target.natural_vector_size(type), 32};
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
