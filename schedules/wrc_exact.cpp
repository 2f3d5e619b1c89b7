// How the exact solver's sums are written, and its plain schedules.
#include "schedules/wrc_exact.h"

namespace upwell {

namespace {

void compute_whole(const Dot &dot) {
    Halide::Func(dot.columns).compute_root();
    Halide::Func(dot.total).compute_root();
}

}  // namespace

Form wrc_exact_form(const Where &where) {
    return where.on_gpu() || where.scheduled == Scheduled::Plainly ? Form::Gather : Form::Scan;
}

void schedule_plainly(WrcStart &parts) {
    compute_whole(parts.square);
}

void schedule_plainly(WrcStep &parts) {
    for (const Halide::Func &f : {parts.scaled, parts.product}) {
        Halide::Func(f).compute_root();
    }
    for (const Dot &dot : {parts.curvature, parts.square, parts.output_square}) {
        compute_whole(dot);
    }
}

}  // namespace upwell
