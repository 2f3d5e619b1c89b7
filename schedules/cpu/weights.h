// CPU schedule of a pixel's weights and of their transpose: a vector of pixels at a time, every stage in registers.
#pragma once

#include "Halide.h"
#include "algebra/reassembly.h"

namespace upwell {

constexpr auto guard = Halide::TailStrategy::GuardWithIf;  // a map may be narrower than a vector
constexpr auto whole = Halide::TailStrategy::RoundUp;      // internal stages compute whole vectors

// stored: the stage that keeps the weights (already placed); the ones before it follow it.
void schedule_weights(const Problem &problem, Weights &weights, Halide::Func stored, int lanes);
void schedule_folded_weights(const Problem &problem, Weights &weights, FoldedWeights &folded, int lanes);

// at: the loop over vectors of pixels in the output.
void schedule_weights_backward(ReassemblyWeightBackward &parts, Halide::Var at, int lanes);

}  // namespace upwell
