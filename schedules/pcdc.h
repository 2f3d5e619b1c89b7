// The PCDC family: one schedule per pass.
#pragma once

#include "Halide.h"
#include "algebra/pcdc.h"
#include "algebra/pcdc_collect.h"
#include "algebra/pcdc_gather.h"

namespace upwell::pcdc {

inline Tile tile_for(const Halide::Target &target) {
    return target.has_gpu_feature() ? gpu_tile : cpu_tile;
}

// For the target: CUDA or OpenCL where it has one, else its CPU.
void schedule(const Difference &d, Halide::Func stored, Halide::Func output, const Halide::Target &target);
void schedule(const Difference &d, const Hidden &hidden, Statistics &s, const Halide::Target &target);
void schedule(const Difference &d, const Hidden &hidden, Moments &m, const Halide::Target &target);

void schedule_on_cpu(const Difference &d, Halide::Func stored, Halide::Func output, const Halide::Target &target);
void schedule_on_cpu(const Difference &d, const Hidden &hidden, Statistics &s, const Halide::Target &target);
void schedule_on_cpu(const Difference &d, const Hidden &hidden, Moments &m, const Halide::Target &target);

void schedule_on_gpu(const Difference &d, Halide::Func stored, Halide::Func output);
void schedule_on_gpu(const Difference &d, const Hidden &hidden, Statistics &s);
void schedule_on_gpu(const Difference &d, const Hidden &hidden, Moments &m);

// Of a CPU, and of a GPU.
void schedule(const Difference &d, const Hidden &hidden, Scores &s, const Halide::Target &target);
void schedule(const Difference &d, const Hidden &hidden, JointScores &s);
void schedule(const Difference &d, const Hidden *hidden, HiddenAdjoint *adjoint, Halide::Func d_v, DifferenceAdjoint &a,
              const Halide::Target &target);
void schedule(CollectedMap &m, const Halide::Target &target);
void schedule(CollectedCells &c, const Halide::Target &target);
void schedule(const Difference &d, const Hidden *hidden, HiddenAdjoint *adjoint, Halide::Func d_v, GatheredAdjoint &a);
void schedule(GatheredMap &m);
void schedule(GatheredCells &c);

}  // namespace upwell::pcdc
