// The lanes of samples at offsets, and their plain schedules.
#include "schedules/offset_samples.h"

namespace upwell::offset_samples {

int channel_lanes(Halide::Type type, const Where &where) {
    return where.on_gpu() ? 1 : where.target.natural_vector_size(type);
}

void schedule_plainly(Samples &) {}

void schedule_plainly(DValue &d) {
    if (d.problem.form == Form::Gather) {
        d.row_reads.compute_root();
        d.column_reads.compute_root();
    }
    d.low.compute_root();
}

void schedule_plainly(DOffsets &d) {
    d.lane_dots.compute_root();
    d.dots.compute_root();
}

}  // namespace upwell::offset_samples
