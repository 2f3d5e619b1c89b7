// Which schedule of the PCDC family serves a target.
#include "pcdc.h"

namespace upwell::pcdc {

using Halide::Func, Halide::Target;

void schedule(const Difference &d, Func stored, Func output, const PcdcKnobs &knobs, const Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(d, stored, output, knobs);
    } else {
        schedule_on_cpu(d, stored, output, knobs, target);
    }
}

namespace {

template<class Pass>
void schedule_pass(const Difference &d, const Hidden &hidden, Pass &pass, const PcdcKnobs &knobs,
                   const Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(d, hidden, pass, knobs);
    } else {
        schedule_on_cpu(d, hidden, pass, knobs, target);
    }
}

}  // namespace

void schedule(const Difference &d, const Hidden &hidden, Statistics &s, const PcdcKnobs &knobs, const Target &target) {
    schedule_pass(d, hidden, s, knobs, target);
}

void schedule(const Difference &d, const Hidden &hidden, Moments &m, const PcdcKnobs &knobs, const Target &target) {
    schedule_pass(d, hidden, m, knobs, target);
}

}  // namespace upwell::pcdc
