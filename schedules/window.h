// The window-kernel family: what can be tuned, and one schedule per direction and target.
#pragma once

#include "Halide.h"
#include "algebra/reassembly.h"
#include "knobs.h"

namespace upwell {

// Every value that the space of a kernel allows gives the same answer.
struct WindowKnobs : Knobs {
    // Register blocks.
    Knob unroll_rows{"unroll_rows", 0};
    Knob unroll_channels{"unroll_channels", 0};
    Knob unroll_vectors{"unroll_vectors", 0};
    Knob unroll_sum{"unroll_sum", 0};
    // Tasks of a CPU.
    Knob strip_rows{"strip_rows", 0};
    Knob sum_channels{"sum_channels", 0};
    Knob block_columns{"block_columns", 0};
    Knob loop_order{"loop_order", 0};
    Knob map_rows{"map_rows", 0};
    // Blocks of a GPU.
    Knob threads_x{"threads_x", 0};
    Knob threads_y{"threads_y", 0};
    Knob threads_z{"threads_z", 0};
    Knob block_channels{"block_channels", 0};
    Knob tile_cells{"tile_cells", 0};
    Knob tile_rows{"tile_rows", 0};
    Knob tile_channels{"tile_channels", 0};

    std::vector<const Knob *> all() const {
        return {&unroll_rows,    &unroll_channels, &unroll_vectors, &unroll_sum,   &strip_rows, &sum_channels,
                &block_columns,  &loop_order,      &map_rows,       &threads_x,    &threads_y,  &threads_z,
                &block_channels, &tile_cells,      &tile_rows,      &tile_channels};
    }
};

// Refuses, beside what the space does, a knob that this kernel does not have.
void settle(const Space &space, const WindowKnobs &knobs);

// Places every stage for the target: CUDA or OpenCL where it has one, else its CPU.
void schedule(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);

// Where every low-res cell has the same ratio x ratio pixels.
void schedule_exact_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_exact_on_cpu(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_exact_on_cpu(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);

// Where cells differ.
void schedule_any_size_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_any_size_on_cpu(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_any_size_on_cpu(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target);

// How the GPU schedules want d_value divided.
Tile choose_tile(const Problem &problem);
Tile choose_tile(const Problem &problem, const WindowKnobs &knobs);  // what the knobs say of it

void schedule_exact_on_gpu(Reassembly &parts, const WindowKnobs &knobs);
void schedule_exact_on_gpu(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs);
void schedule_exact_on_gpu(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs);

void schedule_any_size_on_gpu(Reassembly &parts, const WindowKnobs &knobs);
void schedule_any_size_on_gpu(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs);
void schedule_any_size_on_gpu(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs);

}  // namespace upwell
