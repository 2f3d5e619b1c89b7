// The PCDC family: one schedule per pass.
#pragma once

#include "Halide.h"
#include "algebra/pcdc.h"
#include "algebra/pcdc_collect.h"

namespace upwell::pcdc {

void schedule(const Difference &d, Halide::Func stored, Halide::Func output, const Halide::Target &target);
void schedule(const Difference &d, const Hidden &hidden, Statistics &s, const Halide::Target &target);
void schedule(const Difference &d, const Hidden &hidden, Scores &s, const Halide::Target &target);
void schedule(const Difference &d, const Hidden &hidden, Moments &m, const Halide::Target &target);
void schedule(const Difference &d, const Hidden *hidden, HiddenAdjoint *adjoint, Halide::Func d_v, DifferenceAdjoint &a,
              const Halide::Target &target);
void schedule(CollectedMap &m, const Halide::Target &target);
void schedule(CollectedCells &c, const Halide::Target &target);

}  // namespace upwell::pcdc
