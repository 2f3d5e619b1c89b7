// Cross-scale attention: one schedule for each pass.
#pragma once

#include "algebra/cross_attention.h"

namespace upwell::cross_attention {

// Computed at such a place for so many of each of these, whatever Halide makes of where a tile ends.
using Extents = std::vector<std::pair<Halide::Var, int>>;
Halide::Func &of_one(Halide::Func &f, Halide::LoopLevel at, const Extents &extents);
// And for one of every other dimension.
Halide::Func &of_this_one(Halide::Func &f, Halide::LoopLevel at, Extents extents);

void schedule_on_cpu(Forward &parts, const Halide::Target &target);
void schedule_on_cpu(Statistics &parts, const Halide::Target &target);
void schedule_on_cpu(OfPixels &parts, const Halide::Target &target);
void schedule_on_cpu(OfCells &parts, const Halide::Target &target);

void schedule_on_gpu(Forward &parts);
void schedule_on_gpu(Statistics &parts);
void schedule_on_gpu(OfPixels &parts);
void schedule_on_gpu(OfCells &parts);

}  // namespace upwell::cross_attention
