// The lanes of samples at offsets, and their plain schedules.
#include "schedules/offset_samples.h"

namespace upwell::offset_samples {

int channel_lanes(Halide::Type type, const Where &where) {
    return where.on_gpu() ? 1 : where.target.natural_vector_size(type);
}

void schedule_plainly(Samples &) {}

void schedule_plainly(DValue &d) {
    if (d.problem.form == Form::Scan) {
        d.low.compute_root();
        return;
    }
    for (Halide::Func sum : {d.row_reads, d.column_reads, d.of_row, d.of_map}) {
        sum.compute_root();
    }
}

void schedule_plainly(DOffsets &d) {
    d.lane_dots.compute_root();
    d.dots.compute_root();
}

}  // namespace upwell::offset_samples
