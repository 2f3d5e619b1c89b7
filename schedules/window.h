// The window-kernel family: what can be tuned, and one schedule per direction and target.
#pragma once

#include "Halide.h"
#include "algebra/reassembly.h"

namespace upwell {

// Any value gives the same answer. 0: the schedule's own choice.
struct WindowKnobs {
    Halide::GeneratorParam<int> unroll_rows{"unroll_rows", 0};          // pixel rows that share a loaded value
    Halide::GeneratorParam<int> unroll_channels{"unroll_channels", 0};  // channels that share a loaded weight
    Halide::GeneratorParam<int> strip_rows{"strip_rows", 0};            // pixel rows of a task
    Halide::GeneratorParam<int> sum_channels{"sum_channels", 16};       // channels of a partial sum over channels
};

// Places every stage for the target: CUDA or OpenCL where it has one, else its CPU.
void schedule(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);

// Where every low-res cell has the same ratio x ratio pixels.
void schedule_exact_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_exact_on_cpu(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_exact_on_cpu(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);

// Where cells differ.
void schedule_any_size_on_cpu(Reassembly &parts, const Halide::Target &target);
void schedule_any_size_on_cpu(ReassemblyValueAdjoint &parts, const Halide::Target &target);
void schedule_any_size_on_cpu(ReassemblyWeightAdjoint &parts, const Halide::Target &target);

// How the GPU schedules want d_value divided.
Tile choose_tile(const Problem &problem);

void schedule_exact_on_gpu(Reassembly &parts);
void schedule_exact_on_gpu(ReassemblyValueAdjoint &parts);
void schedule_exact_on_gpu(ReassemblyWeightAdjoint &parts);

void schedule_any_size_on_gpu(Reassembly &parts);
void schedule_any_size_on_gpu(ReassemblyValueAdjoint &parts);
void schedule_any_size_on_gpu(ReassemblyWeightAdjoint &parts);

}  // namespace upwell
