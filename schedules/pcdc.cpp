// Which schedule of the PCDC family serves a target.
#include "pcdc.h"

namespace upwell::pcdc {

using Halide::Func, Halide::Target;

void schedule(const Difference &d, Func stored, Func output, const Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(d, stored, output);
    } else {
        schedule_on_cpu(d, stored, output, target);
    }
}

namespace {

template<class Pass> void schedule_pass(const Difference &d, const Hidden &hidden, Pass &pass, const Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(d, hidden, pass);
    } else {
        schedule_on_cpu(d, hidden, pass, target);
    }
}

}  // namespace

void schedule(const Difference &d, const Hidden &hidden, Statistics &s, const Target &target) {
    schedule_pass(d, hidden, s, target);
}

void schedule(const Difference &d, const Hidden &hidden, Moments &m, const Target &target) {
    schedule_pass(d, hidden, m, target);
}

}  // namespace upwell::pcdc
